"""The trainer: it learns, says what it did, and a run that was killed ends with the same bits as one that was not."""

import csv
import errno
import json
import math
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from mien.errors import MienError, OutputError, RunError
from mien.train import Hardware, Recipe, Run, export, train
from mien.train.recipe_toml import parse_recipe
from mien.train.run.environment import library_versions
from mien.types import FaceSet
from processes import hold_lock
from support import ONE_THREAD, fill_disk, train_and_valid

SMALL = """
[net]
widths = [4, 8, 8, 8]
blocks = 1
dropout = 0.1
[optim]
epochs = 4
batch = 16
lr = 0.05
ema = 0.9
image_sizes = [[32, 0.5], [48, 0.5]]
"""


def small(changes: tuple[str, ...] = ()) -> Recipe:
    return parse_recipe(SMALL, changes)


@pytest.fixture
def faces() -> FaceSet:
    return train_and_valid(70, 28)


def same_bits(one: Path, other: Path) -> bool:
    ours, theirs = load_file(one / "last.safetensors"), load_file(other / "last.safetensors")
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_it_learns(faces: FaceSet, tmp_path: Path) -> None:
    plain = [f"augment.{name}=0" for name in ("flip_prob", "shift_pixels", "rotate_degrees", "scale", "erase_prob")]
    steady = ("optim.epochs=10", "loss.smoothing=0", "head.dropout=0", "optim.image_sizes=[[32, 1.0]]", "optim.ema=0.8")
    run = train(
        small((*plain, *steady, "net.widths=[8, 16, 16, 16]")), faces, out=tmp_path / "run", hardware=ONE_THREAD
    )
    epochs = list(run)
    assert epochs[-1].train_loss < 0.7 * epochs[0].train_loss
    assert run.best is not None
    assert run.best.valid_accuracy > 0.5  # chance is 1/7


def test_what_an_epoch_says(faces: FaceSet, tmp_path: Path) -> None:
    epochs = list(train(small(), faces, out=tmp_path / "run", hardware=ONE_THREAD))
    assert [epoch.number for epoch in epochs] == [1, 2, 3, 4]
    assert [epoch.image_size for epoch in epochs] == [32, 32, 48, 48]
    assert epochs[-1].lr < 0.02 * 0.05  # the last of 16 steps
    assert max(epoch.lr for epoch in epochs) < 0.05
    assert all(epoch.seconds > 0 and epoch.faces_per_second > 0 for epoch in epochs)
    assert all(0 <= epoch.valid_accuracy <= 1 and math.isfinite(epoch.valid_loss) for epoch in epochs)


def test_validation_is_of_the_averaged_weights_in_the_file(faces: FaceSet, tmp_path: Path) -> None:
    from mien.train.onnx_export.export import load_inference_model

    run = train(small(), faces, out=tmp_path / "run", hardware=ONE_THREAD)
    list(run)
    model, _ = load_inference_model(run, name="x")
    valid = faces[faces.splits == "valid"]
    with torch.no_grad():
        top = model(torch.from_numpy(valid.images.copy())).argmax(dim=1).numpy()
    assert run.best is not None
    assert np.mean(top == valid.labels) == pytest.approx(run.best.valid_accuracy)


def test_the_folder(faces: FaceSet, tmp_path: Path) -> None:
    out = tmp_path / "run"
    list(train(small(), faces, out=out, hardware=ONE_THREAD))
    wanted = {"recipe.toml", "run.json", "run.lock", "last.safetensors", "best.safetensors", "metrics.csv", "curve.png"}
    there = {path.name for path in out.iterdir() if not path.name.startswith("events.")}
    assert there | {"run.lock"} == wanted  # which does not stay on every system
    with (out / "metrics.csv").open() as file:
        assert [row["number"] for row in csv.DictReader(file)] == ["1", "2", "3", "4"]
    about = json.loads((out / "run.json").read_text())
    assert about["run"]["faces_hash"] == faces.hash
    (session,) = about["sessions"]
    environment = session["environment"]
    assert [environment[name] for name in ("torch", "threads", "processes")] == [torch.__version__, 1, 1]
    assert abs(datetime.now(UTC) - datetime.fromisoformat(session["started"])) < timedelta(hours=1)
    assert parse_recipe((out / "recipe.toml").read_text()) == small()


def test_two_runs_are_the_same_to_the_bit(faces: FaceSet, tmp_path: Path) -> None:
    for name in ("one", "two"):
        list(train(small(), faces, out=tmp_path / name, hardware=ONE_THREAD))
    assert same_bits(tmp_path / "one", tmp_path / "two")


def test_another_seed_is_another_run(faces: FaceSet, tmp_path: Path) -> None:
    for seed in (1, 2):
        list(train(small((f"seed={seed}",)), faces, out=tmp_path / str(seed), hardware=ONE_THREAD))
    assert not same_bits(tmp_path / "1", tmp_path / "2")


@pytest.mark.parametrize(("ability", "wanted"), [({"avx512_bf16": True}, "bf16-mixed"), ({"avx2": True}, "32-true")])
def test_automatic_precision_is_what_the_processor_does_fast(
    faces: FaceSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ability: dict[str, bool], wanted: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: ability, raising=False)
    how = small(('optim.precision="auto"',))
    first = next(iter(train(how, faces, out=tmp_path / "a", hardware=Hardware(accelerator="cpu"))))
    assert f'precision = "{wanted}"' in (tmp_path / "a" / "recipe.toml").read_text(encoding="utf-8")
    settled = small((f'optim.precision="{wanted}"',))
    assert next(iter(train(settled, faces, out=tmp_path / "b"))).train_loss == first.train_loss
    list(train(how, faces, out=tmp_path / "a", hardware=Hardware(accelerator="cpu"), resume=True))


def test_a_broken_off_run_goes_on_to_the_same_bits(faces: FaceSet, tmp_path: Path) -> None:
    list(train(small(), faces, out=tmp_path / "whole", hardware=ONE_THREAD))
    for epoch in train(small(), faces, out=tmp_path / "broken", hardware=ONE_THREAD):
        if epoch.number == 2:
            break
    rest = list(train(small(), faces, out=tmp_path / "broken", resume=True, hardware=ONE_THREAD))
    assert [epoch.number for epoch in rest] == [3, 4]
    assert same_bits(tmp_path / "whole", tmp_path / "broken")
    for name in ("best.safetensors", "last.safetensors"):
        assert set(load_file(tmp_path / "whole" / name)) == set(load_file(tmp_path / "broken" / name))


def test_refusals(faces: FaceSet, tmp_path: Path) -> None:
    out = tmp_path / "run"
    list(train(small(), faces, out=out, hardware=ONE_THREAD))
    before = (out / "last.safetensors").read_bytes()
    with pytest.raises(RunError, match="already holds a run"):
        train(small(), faces, out=out)
    with pytest.raises(RunError, match="other faces"):
        train(small(), faces[:-1], out=out, resume=True)
    with pytest.raises(RunError, match="another recipe"):
        train(small(("optim.lr=0.01",)), faces, out=out, resume=True)
    assert (out / "last.safetensors").read_bytes() == before


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a run of one epoch."""
    out = tmp_path_factory.mktemp("finished") / "run"
    list(train(small(("optim.epochs=1",)), train_and_valid(70, 28), out=out, hardware=ONE_THREAD))
    return out


def change_header(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Replace the JSON in a checkpoint by what a function makes of it, or by the text that it returns."""
    with safe_open(path, framework="pt") as file:
        content = json.loads(file.metadata()["mien"])
    changed = change(content)
    save_file(load_file(path), path, {"mien": changed if isinstance(changed, str) else json.dumps(content)})


@pytest.mark.parametrize("name", ["last", "best"])
@pytest.mark.parametrize(
    "change",
    [
        lambda header: header.update(epochs=[]),
        lambda header: header["epochs"][0].update(number=7),
        lambda header: header["epochs"][0].update(valid_accuracy=None),
        lambda header: header["epochs"][0].update(image_size=10**9),
        lambda header: header["facts"].update(class_names=["angry"]),
        lambda header: header["facts"].update(class_names=["\ud800"] * 7),
        lambda header: header["facts"].update(valid_faces=0),
        lambda header: header["facts"].update(recipe=["swift"]),
        lambda header: header.pop("facts"),
        lambda header: json.dumps(header).replace('"valid_accuracy": ', '"valid_accuracy": 1' + "0" * 400),
        lambda header: json.dumps(header)[:-1] + ', "more": ' + "[" * 100_000 + "]" * 100_000 + "}",
        lambda _header: "null",
    ],
)
def test_a_damaged_header_is_one_line(
    finished: Path, tmp_path: Path, name: Literal["best", "last"], change: Callable[[dict[str, Any]], Any]
) -> None:
    shutil.copytree(finished, tmp_path / "run")
    change_header(tmp_path / f"run/{name}.safetensors", change)
    with pytest.raises(MienError, match=rf"{name}\.safetensors is no checkpoint of a run, or damaged: .") as caught:
        export(tmp_path / "run", tmp_path / "m.onnx", epoch=name)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["net", "average", "optimizer"])
def test_a_renamed_tensor_is_one_line(faces: FaceSet, finished: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(finished, tmp_path / "run")
    path = tmp_path / "run/last.safetensors"
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    first = next(key for key in sorted(tensors) if key.startswith(f"{name}."))
    tensors[f"{name}.other.thing"] = tensors.pop(first)
    save_file(tensors, path, metadata)
    with pytest.raises(RunError, match=r"last\.safetensors is no checkpoint of a run, or damaged: .") as caught:
        train(small(("optim.epochs=1",)), faces, out=tmp_path / "run", resume=True, hardware=ONE_THREAD)
    assert len(str(caught.value).splitlines()) == 1


def test_half_a_checkpoint_is_one_line(faces: FaceSet, finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "run")
    whole = (finished / "last.safetensors").read_bytes()
    (tmp_path / "run/last.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RunError, match=r"last\.safetensors is no checkpoint of a run, or damaged"):
        train(small(("optim.epochs=1",)), faces, out=tmp_path / "run", resume=True, hardware=ONE_THREAD)


def test_an_impossible_folder_and_a_damaged_run_are_named(faces: FaceSet, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot make the folder .*file: File exists"):
        train(small(), faces, out=tmp_path / "file", hardware=ONE_THREAD)
    (tmp_path / "run").mkdir()
    for text in ("", "[]", "{}", "[" * 100_000, '{"run": null}'):
        (tmp_path / "run" / "run.json").write_text(text)
        with pytest.raises(RunError, match=r"run\.json cannot be read: empty the folder to begin anew"):
            train(small(), faces, out=tmp_path / "run", resume=True, hardware=ONE_THREAD)


def test_what_a_run_would_replace_is_kept(faces: FaceSet, tmp_path: Path) -> None:
    """The recipe that a run is of may lie in its folder, as may the figures of another."""
    for name in ("recipe.toml", "metrics.csv", "best.safetensors"):
        (tmp_path / name).write_text("mine")
        for resume in (False, True):
            with pytest.raises(RunError, match=rf"{name} is there, and a run would replace it: name another folder"):
                train(small(), faces, out=tmp_path, resume=resume, hardware=ONE_THREAD)
        assert [path.name for path in tmp_path.iterdir()] == [name]
        (tmp_path / name).unlink()


def test_a_checkpoint_without_its_run_goes_on_only_by_resume(faces: FaceSet, tmp_path: Path) -> None:
    next(iter(train(small(), faces, out=tmp_path, hardware=ONE_THREAD)))
    (tmp_path / "run.json").unlink()
    with pytest.raises(RunError, match="already holds a run: add --resume"):
        train(small(), faces, out=tmp_path, hardware=ONE_THREAD)
    (tmp_path / "run.json").write_text("damaged")
    assert len(list(train(small(), faces, out=tmp_path, resume=True, hardware=ONE_THREAD))) == 3


def test_two_processes_do_not_train_in_one_folder(faces: FaceSet, tmp_path: Path) -> None:
    run = train(small(), faces, out=tmp_path, hardware=ONE_THREAD)
    with hold_lock(tmp_path / "run.lock"):
        with pytest.raises(RunError, match=r"another process trains in .*: wait for its end"):
            list(run)
        with pytest.raises(RunError, match=r"another process trains in .*: wait for its end"):
            train(small(), faces, out=tmp_path, resume=True, hardware=ONE_THREAD)
        assert not (tmp_path / "last.safetensors").exists()
    assert len(list(run)) == 4


def test_a_run_that_has_gone_on_elsewhere_is_not_gone_on_with(faces: FaceSet, tmp_path: Path) -> None:
    older = train(small(), faces, out=tmp_path, hardware=ONE_THREAD)
    next(iter(older))
    assert len(list(train(small(), faces, out=tmp_path, resume=True, hardware=ONE_THREAD))) == 3
    before = (tmp_path / "last.safetensors").read_bytes()
    with pytest.raises(RunError, match=r"the run in .* has gone on since: take it up again by resume"):
        list(older)
    assert (tmp_path / "last.safetensors").read_bytes() == before


def test_another_environment_is_told_and_noted(faces: FaceSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def resumed() -> Run:
        return train(small(), faces, out=tmp_path, resume=True, hardware=ONE_THREAD)

    next(iter(train(small(), faces, out=tmp_path, hardware=ONE_THREAD)))
    assert resumed().run_dir.changes == []
    now = {**library_versions(), "torch": "99.0"}
    monkeypatch.setattr("mien.train.run.environment.library_versions", lambda: now)
    assert resumed().run_dir.changes == ["torch"]
    sessions = json.loads((tmp_path / "run.json").read_text())["sessions"]
    assert [session["environment"]["torch"] for session in sessions] == [torch.__version__, "99.0"]
    assert resumed().run_dir.changes == []  # since the last time


STILL = ("optim.epochs=1", "optim.batch=70", "optim.momentum=0", "optim.weight_decay=0", "optim.warmup=0")


def test_a_clipped_step_is_as_long_as_the_limit(faces: FaceSet, tmp_path: Path) -> None:
    for clip, limit in ((0.01, 0.01), (1e6, None)):
        run = train(
            small((*STILL, f"optim.max_grad_norm={clip}")), faces, out=tmp_path / str(clip), hardware=ONE_THREAD
        )
        before = [weight.detach().clone() for weight in run.state.net.parameters()]
        list(run)
        steps = [now.detach() - was for now, was in zip(run.state.net.parameters(), before, strict=True)]
        length = torch.cat([step.flatten() for step in steps]).norm().item() / 0.05
        assert length == pytest.approx(limit, rel=1e-3) if limit else length > 0.1


def test_an_infinite_gradient_is_told_as_a_loss_of_nan(faces: FaceSet, tmp_path: Path) -> None:
    run = train(small((*STILL, "optim.max_grad_norm=1")), faces, out=tmp_path / "run", hardware=ONE_THREAD)
    next(iter(run.state.net.parameters())).register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(RunError, match=r"^the loss is nan in epoch 1: lower optim\.lr, in another folder$"):
        list(run)


def test_too_few_faces_are_refused_with_a_way_out(faces: FaceSet, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"got 70 labelled train faces and 0 labelled valid ones; set some aside: mien"):
        train(small(), faces[faces.splits == "train"], out=tmp_path / "run")
    with pytest.raises(RunError, match=r"got 1 labelled train faces .*; import more faces"):
        train(small(), faces[69:], out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_batch_is_fitted_to_a_small_set_and_the_run_says_so(faces: FaceSet, tmp_path: Path) -> None:
    few = faces[58:]  # 12 to train on
    run = train(small(("optim.epochs=1",)), few, out=tmp_path, hardware=ONE_THREAD)
    assert run.remark == "optim.batch is 3 instead of 16, as there are only 12 train faces"
    assert [epoch.number for epoch in run] == [1]
    assert parse_recipe((tmp_path / "recipe.toml").read_text()).optim.batch == 3
    assert train(small(("optim.epochs=1",)), few, out=tmp_path, resume=True, hardware=ONE_THREAD).finished
    assert train(small(), faces, out=tmp_path / "whole", hardware=ONE_THREAD).remark == ""


STEADY = ('optim.schedule="constant"', "optim.warmup=0", "optim.image_sizes=[[32, 1.0]]")


def test_a_finished_run_can_be_lengthened(faces: FaceSet, tmp_path: Path) -> None:
    """With a constant learning rate, to the same bits as a run that was as long from the start."""
    list(train(small((*STEADY, "optim.epochs=2")), faces, out=tmp_path / "run", hardware=ONE_THREAD))
    longer = train(small((*STEADY, "optim.epochs=3")), faces, out=tmp_path / "run", resume=True, hardware=ONE_THREAD)
    assert longer.run_dir.changes == ["optim.epochs"]
    assert [epoch.number for epoch in longer] == [3]
    list(train(small((*STEADY, "optim.epochs=3")), faces, out=tmp_path / "whole", hardware=ONE_THREAD))
    assert same_bits(tmp_path / "run", tmp_path / "whole")
    assert parse_recipe((tmp_path / "run/recipe.toml").read_text()).optim.epochs == 3
    with pytest.raises(RunError, match=r"cannot be shortened to 2: go on with --set optim\.epochs=3"):
        train(small((*STEADY, "optim.epochs=2")), faces, out=tmp_path / "run", resume=True, hardware=ONE_THREAD)


def test_a_loss_that_is_no_number_ends_the_run_and_loses_nothing(faces: FaceSet, tmp_path: Path) -> None:
    run = train(small(), faces, out=tmp_path / "run", hardware=ONE_THREAD)
    epochs = iter(run)
    next(epochs)
    before = (tmp_path / "run" / "last.safetensors").read_bytes()
    with torch.no_grad():
        next(iter(run.state.net.parameters())).fill_(float("nan"))
    with pytest.raises(
        RunError, match=r"loss is nan in epoch 2: lower optim\.lr, in another folder; the epochs before are safe"
    ):
        next(epochs)
    assert (tmp_path / "run" / "last.safetensors").read_bytes() == before


def test_a_full_disk_is_one_clear_error(faces: FaceSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mien.errors import OutputError

    run = train(small(), faces, out=tmp_path / "run", hardware=ONE_THREAD)
    fill_disk(monkeypatch, "best.safetensors")
    with pytest.raises(OutputError, match=r"best.safetensors: No space left"):
        list(run)


def test_training_leaves_torchs_generator_alone(faces: FaceSet, tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    list(train(small(("optim.epochs=1",)), faces, out=tmp_path / "run", hardware=ONE_THREAD))
    assert torch.equal(before, torch.random.get_rng_state())


def test_where_the_disk_knows_no_locks_there_is_none(
    faces: FaceSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("mien.train.run.run_dir.FileLock.acquire", refused)
    assert len(list(train(small(("optim.epochs=1",)), faces, out=tmp_path, hardware=ONE_THREAD))) == 1

"""The trainer: it learns, says what it did, and a run that was killed ends with the same bits as one that was not."""

import csv
import errno
import json
import math
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mien.data.formats.npz import save_faces
from mien.errors import OutputError, RunError
from mien.train import Hardware, Recipe, train
from mien.train.recipe_toml import parse_recipe
from mien.train.run.checkpoint import library_versions
from mien.types import FaceSet
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
    assert [epoch.side for epoch in epochs] == [32, 32, 48, 48]
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
    facts = json.loads((out / "run.json").read_text())
    assert facts["faces_hash"] == faces.hash
    assert (facts["torch"], facts["threads"], facts["processes"]) == (torch.__version__, 1, 1)
    assert abs(datetime.now(UTC) - datetime.fromisoformat(facts["started"])) < timedelta(hours=1)
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


def test_a_killed_run_goes_on_to_the_same_bits(faces: FaceSet, tmp_path: Path) -> None:
    """SIGKILL at three moments: before anything is saved, in the middle, and while a checkpoint is being written."""
    recipe, data, out = tmp_path / "r.toml", tmp_path / "f.npz", tmp_path / "killed"
    recipe.write_text(SMALL)
    save_faces(faces, data)
    list(train(small(), faces, out=tmp_path / "whole", hardware=ONE_THREAD))
    for moment in ("epoch 0 step 2", "epoch 1 step 3", "writing last.safetensors of epoch 2"):
        ended = subprocess.run(
            [sys.executable, "-c", KILLED, str(recipe), str(data), str(out), moment],
            check=False,
            capture_output=True,
            text=True,
        )
        assert ended.returncode == -signal.SIGKILL, ended.stderr
    list(train(small(), faces, out=out, resume=True, hardware=ONE_THREAD))
    assert same_bits(tmp_path / "whole", out)
    assert not list(out.glob("*.part"))


# Trains like the command line does, but kills itself at the moment that its last argument names.
KILLED = """
import os, signal, sys
from mien.data.formats.npz import load_faces
from mien.train import Hardware, load_recipe, train
import mien.io.atomic_write

recipe, data, out, moment = sys.argv[1:]
run = train(load_recipe(recipe), load_faces(data), out=out, resume=True, hardware=Hardware(threads=1))
die = lambda: os.kill(os.getpid(), signal.SIGKILL)

def on_step(epochs, loss, pace):
    if moment == f"epoch {int(epochs - 1e-9)} step {round((epochs - int(epochs - 1e-9)) * 4)}":
        die()

real_sync = os.fsync
def sync(number):
    target = os.readlink(f"/proc/self/fd/{number}")
    if moment == f"writing last.safetensors of epoch {len(run.epochs)}" and "last.safetensors." in target:
        die()
    real_sync(number)

os.fsync = sync
run.on_step = on_step
list(run)
"""


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


def test_a_damaged_checkpoint_is_named(faces: FaceSet, tmp_path: Path) -> None:
    out = tmp_path / "run"
    list(train(small(), faces, out=out, hardware=ONE_THREAD))
    whole = (out / "last.safetensors").read_bytes()
    (out / "last.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RunError, match=r"last\.safetensors is no checkpoint"):
        train(small(), faces, out=out, resume=True)


def test_a_folder_that_cannot_be_made_and_a_damaged_run_are_named(faces: FaceSet, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot make the folder .*file: File exists"):
        train(small(), faces, out=tmp_path / "file", hardware=ONE_THREAD)
    (tmp_path / "run").mkdir()
    for text in ("", "[]", "{}"):
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


def test_a_checkpoint_without_its_run_is_gone_on_with_only_by_resume(faces: FaceSet, tmp_path: Path) -> None:
    next(iter(train(small(), faces, out=tmp_path, hardware=ONE_THREAD)))
    (tmp_path / "run.json").unlink()
    with pytest.raises(RunError, match="already holds a run: add --resume"):
        train(small(), faces, out=tmp_path, hardware=ONE_THREAD)
    (tmp_path / "run.json").write_text("damaged")
    assert len(list(train(small(), faces, out=tmp_path, resume=True, hardware=ONE_THREAD))) == 3


def test_two_processes_do_not_train_in_one_folder(faces: FaceSet, tmp_path: Path) -> None:
    run = train(small(), faces, out=tmp_path, hardware=ONE_THREAD)
    hold = "import sys\nfrom mien.train.run.run_dir import lock_folder\nfrom pathlib import Path\n"
    hold += f"with lock_folder(Path({str(tmp_path / 'run.lock')!r})):\n"
    hold += "    print('held', flush=True)\n    sys.stdin.read()\n"
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline().strip() == b"held"
        with pytest.raises(RunError, match=r"another process trains in .*: wait for its end"):
            list(run)
        with pytest.raises(RunError, match=r"another process trains in .*: wait for its end"):
            train(small(), faces, out=tmp_path, resume=True, hardware=ONE_THREAD)
        assert not (tmp_path / "last.safetensors").exists()
        other.kill()  # which lets go of it
        other.wait()
        assert len(list(run)) == 4


def test_a_run_that_has_gone_on_elsewhere_is_not_gone_on_with(faces: FaceSet, tmp_path: Path) -> None:
    older = train(small(), faces, out=tmp_path, hardware=ONE_THREAD)
    next(iter(older))
    assert len(list(train(small(), faces, out=tmp_path, resume=True, hardware=ONE_THREAD))) == 3
    before = (tmp_path / "last.safetensors").read_bytes()
    with pytest.raises(RunError, match=r"the run in .* has gone on since: take it up again by resume"):
        list(older)
    assert (tmp_path / "last.safetensors").read_bytes() == before


def test_other_versions_are_told_and_noted(faces: FaceSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    next(iter(train(small(), faces, out=tmp_path, hardware=ONE_THREAD)))
    assert train(small(), faces, out=tmp_path, resume=True, hardware=ONE_THREAD).run_dir.changes == []
    assert "resumed" not in json.loads((tmp_path / "run.json").read_text())
    now = {**library_versions(), "torch": "99.0"}
    monkeypatch.setattr("mien.train.run.run_dir.library_versions", lambda: now)
    assert train(small(), faces, out=tmp_path, resume=True, hardware=ONE_THREAD).run_dir.changes == ["torch"]
    facts = json.loads((tmp_path / "run.json").read_text())
    assert (facts["torch"], facts["resumed"][0]["torch"]) == (torch.__version__, "99.0")
    assert (
        train(small(), faces, out=tmp_path, resume=True, hardware=ONE_THREAD).run_dir.changes == []
    )  # since the last time


STILL = ("optim.epochs=1", "optim.batch=70", "optim.momentum=0", "optim.weight_decay=0", "optim.warmup=0")


def test_a_clipped_step_is_as_long_as_the_limit(faces: FaceSet, tmp_path: Path) -> None:
    for clip, limit in ((0.01, 0.01), (1e6, None)):
        run = train(
            small((*STILL, f"optim.max_grad_norm={clip}")), faces, out=tmp_path / str(clip), hardware=ONE_THREAD
        )
        before = [weight.detach().clone() for weight in run.net.parameters()]
        list(run)
        steps = [now.detach() - was for now, was in zip(run.net.parameters(), before, strict=True)]
        length = torch.cat([step.flatten() for step in steps]).norm().item() / 0.05
        assert length == pytest.approx(limit, rel=1e-3) if limit else length > 0.1


def test_a_gradient_beyond_all_numbers_is_told_as_the_loss_that_comes_of_it(faces: FaceSet, tmp_path: Path) -> None:
    run = train(small((*STILL, "optim.max_grad_norm=1")), faces, out=tmp_path / "run", hardware=ONE_THREAD)
    next(iter(run.net.parameters())).register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(RunError, match=r"^the loss is nan in epoch 1: lower optim\.lr, in another folder$"):
        list(run)


def test_too_few_faces(faces: FaceSet, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="got 70 train and 0 valid; set some aside"):
        train(small(), faces[faces.splits == "train"], out=tmp_path / "run")
    with pytest.raises(RunError, match="got 3 train and 28 valid"):
        train(small(), faces[67:], out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_no_number_ends_the_run_and_keeps_what_there_is(faces: FaceSet, tmp_path: Path) -> None:
    run = train(small(), faces, out=tmp_path / "run", hardware=ONE_THREAD)
    epochs = iter(run)
    next(epochs)
    before = (tmp_path / "run" / "last.safetensors").read_bytes()
    with torch.no_grad():
        next(iter(run.net.parameters())).fill_(float("nan"))
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

"""Cross-validation: every labelled train face is scored once, by the net that has not seen it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mien.data.formats.npz import save_faces
from mien.data.scores_file import load_scores
from mien.errors import RunError
from mien.train import fold_runs, held_out_scores
from mien.train.onnx_export.export import load_inference_model
from mien.train.recipe_toml import parse_recipe
from support import ONE_THREAD, run_mien, train_and_valid

RECIPE = "[net]\nwidths = [4, 8]\nblocks = 1\n[optim]\nepochs = 1\nbatch = 16\n"


def test_each_face_is_held_out_once(tmp_path: Path) -> None:
    faces = train_and_valid(70, 14)
    runs = list(fold_runs(parse_recipe(RECIPE), faces, out=tmp_path, folds=3, hardware=ONE_THREAD))
    for run in runs:
        list(run)
        assert not set(run.faces.train.ids) & set(run.faces.valid.ids)
    scored = held_out_scores(runs)
    assert scored.held_out
    assert sorted(scored.ids) == sorted(faces.ids[faces.splits == "train"])
    model, _ = load_inference_model(runs[1].out, name="x", epoch="last")
    rows, probs = scored.match(runs[1].faces.valid)
    with torch.no_grad():
        held = torch.from_numpy(runs[1].faces.valid.images[rows].copy())
        theirs = ((model(held) + model(held.flip(-1))) / 2).numpy()
    np.testing.assert_allclose(probs, theirs, atol=1e-5)


def test_unfinished_folds_give_no_scores(tmp_path: Path) -> None:
    runs = list(fold_runs(parse_recipe(RECIPE), train_and_valid(70, 14), out=tmp_path, folds=2, hardware=ONE_THREAD))
    list(runs[0])
    with pytest.raises(RunError, match="finished: go on with --resume"):
        held_out_scores(runs)


def test_the_command_resumes_and_writes_the_scores(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(RECIPE)
    save_faces(train_and_valid(70, 14), tmp_path / "f.npz")
    command: list[str | Path] = [
        "train",
        tmp_path / "r.toml",
        "--faces",
        tmp_path / "f.npz",
        "-o",
        tmp_path / "run",
        "--folds",
        "2",
    ]
    ended = run_mien(*command, "--threads", "1")
    assert ended.code == 0, ended.err
    assert "fold 2 of 2" in ended.err
    before = (tmp_path / "run" / "scores.npz").read_bytes()
    assert len(load_scores(tmp_path / "run" / "scores.npz").ids) == 70
    (tmp_path / "run" / "scores.npz").unlink()
    assert "already holds a run" in run_mien(*command).err
    assert run_mien(*command, "--resume").code == 0
    assert (tmp_path / "run" / "scores.npz").read_bytes() == before

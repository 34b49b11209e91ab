"""No command replaces what it reads, whatever name it is given for it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.data.audit.run import audit
from mien.data.formats.npz import save_faces
from support import random_faces, run_mien, tiny_model

SUFFIXES = (".json", ".html", ".png", ".npz", ".csv", ".onnx", ".parquet", ".mp4")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with faces, models, pictures, an audit and what looks like a run."""
    monkeypatch.chdir(tmp_path)
    faces = random_faces(12)
    Path("pf").mkdir()
    for name in ("f.npz", "f.parquet", "pf/train.parquet"):
        save_faces(faces, name)
    Path("a.json").write_text(audit(faces, kinds=("blank",)).to_json())
    tiny_model(Path("m.onnx"))
    tiny_model(Path("n.onnx"), name="other", seed=1)
    Path("photos").mkdir()
    for name in ("photos/a.png", "photos/b.png"):
        Image.fromarray(np.zeros((60, 60), np.uint8)).save(name)
    Path("run").mkdir()
    for name in ("last.safetensors", "best.safetensors", "recipe.toml", "run.json"):
        (Path("run") / name).write_text("{}")
    return tmp_path


@pytest.mark.parametrize(
    ("read", "command"),
    [
        ("pf/train.parquet", "data import pf -o pf/train.parquet"),
        ("f.parquet", "data import f.parquet -o f.parquet"),
        ("f.parquet", "data import f.parquet -o same.npz"),
        ("f.npz", "data export f.npz --format parquet -o same.parquet"),
        ("f.npz", "data export f.npz --format fer2013 -o same.csv"),
        ("f.npz", "data show f.npz --draw same.png"),
        ("f.npz", "data audit f.npz -o same.json"),
        ("m.onnx", "data audit f.npz --model m.onnx -o same.json"),
        ("m.onnx", "data audit f.npz --model m.onnx -o b.json --html same.html"),
        ("a.json", "data clean f.npz a.json --drop blank -o same.npz"),
        ("m.onnx", "evaluate m.onnx f.npz -o same.json"),
        ("n.onnx", "join m.onnx n.onnx -o n.onnx"),
        ("f.npz", "join m.onnx n.onnx --faces f.npz -o same.onnx"),
        ("run/last.safetensors", "export run -o run/last.safetensors"),
        ("run/best.safetensors", "export run -o same.onnx"),
        ("run/recipe.toml", "export run -o run/recipe.toml"),
        ("photos/a.png", "predict photos/a.png -m m.onnx -o same.csv"),
        ("m.onnx", "predict photos/a.png -m m.onnx -o same.csv"),
        ("photos/b.png", "predict photos -m m.onnx -o same.csv"),
        ("photos/b.png", "predict photos/*.png -m m.onnx --faceless same.csv"),
        ("photos/b.png", "predict photos/b.png -m m.onnx --draw photos/b.png"),
        ("photos/b.png", "predict photos -m m.onnx --draw photos"),
    ],
)
@pytest.mark.usefixtures("here")
def test_an_input_is_never_replaced(read: str, command: str) -> None:
    """`same` is a hard link to what is read."""
    before = Path(read).read_bytes()
    for suffix in SUFFIXES:
        Path(f"same{suffix}").hardlink_to(read)
    outcome = run_mien(*command.split())
    assert (outcome.code, len(outcome.err.splitlines())) == (1, 1), outcome.err
    assert "an input" in outcome.err or "another folder" in outcome.err
    assert Path(read).read_bytes() == before

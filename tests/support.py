"""What several test files share: small models and face sets that are made, never stored."""

import errno
import importlib.util
import io
import os
import re
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from unittest import mock

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from mien.classify.card import ModelCard
from mien.labels import EXPRESSIONS, VOTES
from mien.train.run.hardware import Hardware
from mien.types import FACE_SIDE, FaceSet, Scores

ONE_THREAD = Hardware(threads=1, accelerator="cpu")


@dataclass(frozen=True)
class Outcome:
    """How a command ended: its exit code, what it said on stdout and on stderr."""

    code: int
    out: str
    err: str


def fill_disk(patch: pytest.MonkeyPatch, name: str) -> None:
    """Let the disk be full for the file of that name, which its writer learns at the end."""
    real_replace = Path.replace

    def replace(part: Path, target: Path) -> Path:
        if Path(target).name == name:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real_replace(part, target)

    patch.setattr(Path, "replace", replace)


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run_mien(*arguments: str | Path, columns: int = 0, watched: bool = False) -> Outcome:
    """Run the command line `mien ARGUMENTS...` in this process.

    columns: of a terminal that is standard output; 0: it is none. watched: whether standard error is a terminal.
    A terminal's codes for colours and places are left out.
    """
    from mien.cli.main import main

    out, err = _Terminal() if columns else io.StringIO(), _Terminal() if watched else io.StringIO()
    argv = ["mien", *map(str, arguments)]
    variables = {"COLUMNS": str(columns or 120), "LINES": "40", "TERM": "xterm-256color"} if columns or watched else {}
    with (
        redirect_stdout(out),
        redirect_stderr(err),
        mock.patch.object(sys, "argv", argv),
        mock.patch.dict(os.environ, variables),
    ):
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
    said = (stream.getvalue() for stream in (out, err))
    return Outcome(code, *(re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text) for text in said))


def python_of(page: str) -> str:
    """The Python that a page of docs/ shows."""
    text = (Path(__file__).parent.parent / "docs" / page).read_text(encoding="utf-8")
    return "\n".join(re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE))


def load_script(path: str) -> ModuleType:
    """Load a script of the repository, such as `tools/draw_report.py`, as a module."""
    place = Path(__file__).parents[1] / path
    spec = importlib.util.spec_from_file_location(place.stem, place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[place.stem] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def random_faces(
    count: int, *, seed: int = 0, split: str = "valid", labels: NDArray[np.int64] | None = None, votes: bool = False
) -> FaceSet:
    """`count` faces of noise, no two alike, in one split."""
    rng = np.random.default_rng(seed)
    return FaceSet(
        images=rng.integers(0, 256, (count, FACE_SIDE, FACE_SIDE), dtype=np.uint8),
        labels=rng.integers(0, len(EXPRESSIONS), count) if labels is None else labels,
        splits=np.full(count, split),
        ids=np.array([f"{split}/{seed}/{row}" for row in range(count)], dtype=np.str_),
        votes=rng.integers(0, 11, (count, len(VOTES))).astype(np.float32) if votes else None,
    )


def tiny_model(
    path: Path,
    *,
    class_names: tuple[str, ...] = EXPRESSIONS,
    name: str = "tiny",
    seed: int = 0,
    card: ModelCard | str | None = None,
    with_card: bool = True,
    columns: int | None = None,
    inputs: tuple[str, ...] = ("faces",),
    output: str = "probs",
    dtype: int = TensorProto.UINT8,
    shape: tuple[str | int, ...] = ("N", FACE_SIDE, FACE_SIDE),
    batch_inside: int = 0,
    softmax: bool = True,
    sharp: float = 1.0,
) -> Path:
    """Write the smallest model file there is, a linear classifier of the pixels; every flaw is an argument away."""
    columns = len(class_names) if columns is None else columns
    weight = np.random.default_rng(seed).normal(0, sharp * 0.5 / FACE_SIDE, (FACE_SIDE**2, columns)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", [inputs[0]], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["float", "scale"], ["scaled"]),
        helper.make_node("Reshape", ["scaled", "flat"], ["pixels"]),
        helper.make_node("MatMul", ["pixels", "weight"], ["logits"]),
        helper.make_node("Softmax" if softmax else "Identity", ["logits"], [output]),
    ]
    constants = {
        "scale": np.float32(255),
        "flat": np.array([batch_inside or -1, FACE_SIDE**2], np.int64),
        "weight": weight,
    }
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info(each, dtype, shape) for each in inputs],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, (shape[0], columns))],
        [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    if with_card:
        text = (
            card if isinstance(card, str) else (card or ModelCard(name, class_names, parameters=weight.size)).to_json()
        )
        helper.set_model_props(model, {"mien": text})
    onnx.save(model, str(path))
    return path


class Brightness:
    """A classifier whose answer is a face's mean, and that remembers how many faces it was given each time."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def __call__(self, images: NDArray[np.uint8]) -> Scores:
        """Call a face as happy as it is bright, and else neutral."""
        self.calls.append(len(images))
        probs = np.zeros((len(images), 7), np.float32)
        probs[:, 3] = images.mean(axis=(1, 2)) / 255
        probs[:, 6] = 1 - probs[:, 3]
        return Scores(probs)


def train_and_valid(train: int, valid: int, *, seed: int = 0) -> FaceSet:
    """Noise faces of two splits, the place of their bright bands telling their class, so that a net can learn them."""
    rng = np.random.default_rng(seed)
    labels = np.arange(train + valid) % len(EXPRESSIONS)
    stripes = 30 + 200 * (np.arange(FACE_SIDE)[None, :] // 4 % len(EXPRESSIONS) == labels[:, None])
    noise = rng.integers(0, 25, (train + valid, FACE_SIDE, FACE_SIDE))
    return FaceSet(
        images=(stripes[:, :, None] + noise).clip(0, 255).astype(np.uint8),
        labels=labels.astype(np.int64),
        splits=np.array(["train"] * train + ["valid"] * valid),
        ids=np.array([f"face{row}" for row in range(train + valid)]),
    )


def drawn_faces(count: int, *, seed: int = 0, split: str = "train") -> FaceSet:
    """`count` soft pictures with detail of a face's size, no two alike, each expression in turn."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(0, 45, (count, 12, 12)) + rng.normal(0, 25, (count, 1, 1))
    images = [np.asarray(Image.fromarray(each.astype(np.float32)).resize((FACE_SIDE,) * 2)) + 128 for each in coarse]
    return FaceSet(
        images=np.clip(images, 0, 255).astype(np.uint8).reshape(count, FACE_SIDE, FACE_SIDE),
        labels=np.arange(count) % len(EXPRESSIONS),
        splits=np.full(count, split),
        ids=np.array([f"{split}{seed}-{row}" for row in range(count)], dtype=np.str_),
    )


def altered(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A copy of a face as sites make them: shifted by up to 2 pixels, brighter or darker, perhaps mirrored, a JPEG."""
    down, right = rng.integers(-2, 3, 2)
    copy = np.pad(image, 2, mode="edge")[2 + down : 50 + down, 2 + right : 50 + right].astype(float)
    copy = copy[:, ::-1] if rng.random() < 0.5 else copy
    copy = (copy - copy.mean()) * rng.uniform(0.6, 1.3) + copy.mean() + rng.uniform(-30, 30)
    stream = io.BytesIO()
    Image.fromarray(copy.clip(0, 255).astype(np.uint8)).save(stream, "JPEG", quality=int(rng.integers(50, 96)))
    return np.asarray(Image.open(stream))


def lock_folder(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let no folder of this name tell what is in it, as one that may not be read."""
    scandir = os.scandir

    def locked(path: str) -> object:
        if str(path).endswith(name):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", locked)

"""`mien bench train`: what it prints, and that a model is still benched by its name."""

import json
from pathlib import Path

import pytest

from support import run_mien

SMALL = "[net]\nwidths = [4, 8]\nblocks = 1\n[optim]\nbatch = 8\nimage_sizes = [[32, 0.4], [40, 0.6]]\n"


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path


def test_the_shares_of_an_epoch(recipe: Path) -> None:
    ended = run_mien("bench", "train", recipe, "--seconds", "0", "--threads", "1", "--accelerator", "cpu", "--json")
    assert ended.code == 0, ended.err
    facts = json.loads(ended.out)
    assert (facts["side"], facts["batch"], facts["device"], facts["threads"]) == (40, 8, "cpu", 1)
    assert facts["epoch_seconds"].keys() == {"data", "step", "bookkeeping"}
    assert sum(facts["shares"].values()) == pytest.approx(1, abs=1e-4)
    assert facts["faces_per_second"] == pytest.approx(28_709 / sum(facts["epoch_seconds"].values()), rel=1e-3)


def test_a_table_for_people(recipe: Path) -> None:
    ended = run_mien("bench", "train", recipe, "--seconds", "0", "--threads", "1", "--accelerator", "cpu")
    assert "side 40, batch 8, 32-true, 1 thread of cpu" in ended.out
    assert "faces a second; an epoch of FER2013 takes" in ended.out


def test_refusals(recipe: Path) -> None:
    assert run_mien("bench", "train", "plane").err.rstrip().endswith("did you mean plain?")
    graph = run_mien("bench", "train", recipe, "--cuda-graph", "--accelerator", "cpu")
    assert (graph.code, graph.err) == (1, "mien: a CUDA graph needs one GPU, got 1 x cpu\n")
    assert run_mien("bench", "train.onnx").code == 1  # a model's name

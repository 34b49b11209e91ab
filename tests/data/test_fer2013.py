"""The whole of FER2013, if it is at hand (see the fixture `fer2013`)."""

from pathlib import Path

import numpy as np
import pytest

import mien
from mien.types import FaceSet
from support import run_mien

pytestmark = pytest.mark.fer2013

COUNTS = {"angry": 3995, "disgust": 436, "fear": 4097, "happy": 7215, "sad": 4830, "surprise": 3171, "neutral": 4965}


def pictures(faces: FaceSet, *, labelled: bool) -> list[tuple[int, bytes]]:
    """The pictures of one kind with their labels, in an order that is that of no file."""
    chosen = faces[faces.splits == "train"] if labelled else faces[faces.splits != "train"]
    labels = chosen.labels.tolist() if labelled else [-1] * len(chosen)
    return sorted((label, image.tobytes()) for label, image in zip(labels, chosen.images, strict=True))


def test_the_file_and_the_folders_hold_the_same_faces(fer2013: Path, tmp_path: Path) -> None:
    table, votes = fer2013 / "fer2013.csv", fer2013 / "fer2013new.csv"
    assert run_mien("data", "import", table, "--votes", votes, "-o", tmp_path / "f.npz").code == 0
    assert run_mien("data", "import", fer2013 / "report", "-o", tmp_path / "r.npz").code == 0
    csv, report = mien.load_faces(tmp_path / "f.npz"), mien.load_faces(tmp_path / "r.npz")
    for faces in (csv, report):
        train = faces[faces.splits == "train"]
        assert (len(faces), len(train)) == (35_887, 28_709)
        assert dict(zip(mien.EXPRESSIONS, np.bincount(train.labels).tolist(), strict=True)) == COUNTS
    assert pictures(csv, labelled=True) == pictures(report, labelled=True)
    assert pictures(csv, labelled=False) == pictures(report, labelled=False)
    assert [int((csv.splits == split).sum()) for split in ("valid", "test")] == [3589, 3589]
    assert csv.votes is not None
    named = csv.plurality[csv.splits == "train"]  # most annotators agree with most of FER2013's labels
    assert 0.6 < float((named == csv.labels[csv.splits == "train"]).mean()) < 0.9

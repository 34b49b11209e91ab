import io
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mien.data.formats.parquet import write_parquet
from mien.errors import ExtraError, OutputError
from mien.labels import EXPRESSIONS
from support import random_faces

FACES = random_faces(30, votes=True)

# What `datasets.Features(...).arrow_schema.metadata` (5.2) is for these columns.
FEATURES = {
    "image": {"_type": "Image"},
    "label": {"names": ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"], "_type": "ClassLabel"},
    "split": {"dtype": "string", "_type": "Value"},
    "id": {"dtype": "string", "_type": "Value"},
}
# `List` since version 4, which goes on reading the earlier name.
VOTES = {"feature": {"dtype": "float32", "_type": "Value"}, "length": 10, "_type": "Sequence"}


@pytest.mark.parametrize("voted", [True, False])
def test_the_layout_is_that_of_hugging_face(tmp_path: Path, voted: bool) -> None:
    write_parquet(FACES if voted else random_faces(3), tmp_path / "a.parquet")
    schema = pq.read_schema(tmp_path / "a.parquet")
    features = FEATURES | ({"votes": VOTES} if voted else {})
    assert json.loads(schema.metadata[b"huggingface"]) == {"info": {"features": features}}
    types = ["struct<bytes: binary, path: string>", "int64", "string", "string", "fixed_size_list<element: float>[10]"]
    assert [str(field.type) for field in schema] == types[: 4 + voted]
    assert schema.names == list(features)


def test_pandas_and_pillow_read_the_rows(tmp_path: Path) -> None:
    write_parquet(FACES, tmp_path / "a.parquet")
    rows = pd.read_parquet(tmp_path / "a.parquet")
    pictures = [np.asarray(Image.open(io.BytesIO(image["bytes"]))) for image in rows["image"]]
    assert np.array_equal(np.stack(pictures), FACES.images)
    assert rows["label"].tolist() == FACES.labels.tolist()
    assert rows["id"].tolist() == FACES.ids.tolist()
    assert FACES.votes is not None
    assert np.array_equal(np.stack(rows["votes"].tolist()), FACES.votes)


def test_an_unknown_label_is_minus_one(tmp_path: Path) -> None:
    write_parquet(random_faces(4, labels=np.array([-1, 0, -1, len(EXPRESSIONS) - 1])), tmp_path / "a.parquet")
    assert pq.read_table(tmp_path / "a.parquet")["label"].to_pylist() == [-1, 0, -1, 6]


def test_progress_reaches_the_whole(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    write_parquet(random_faces(2100), tmp_path / "a.parquet", progress=lambda *call: calls.append(call))
    assert calls == [(2048, 2100), (2100, 2100)]


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ExtraError, match="Parquet needs more packages"):
        write_parquet(FACES, tmp_path / "a.parquet")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        write_parquet(FACES, tmp_path / "none" / "a.parquet")

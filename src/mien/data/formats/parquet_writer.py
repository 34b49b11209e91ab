"""Writes faces as a Parquet table in the layout that Hugging Face's `datasets` gives image data sets.

A row has `image` (a struct of the encoded file's bytes and its path) and `label` (a whole number). What the numbers
mean, and which type each column is, stands as JSON in the schema's metadata, under the key `huggingface`.
"""

import json
from pathlib import Path
from typing import Any

from mien.data.decode import png_of
from mien.errors import ExtraError
from mien.io.atomic_write import atomic_write
from mien.labels import EXPRESSIONS, VOTES
from mien.types import FaceSet, Progress, batches

_ROWS = 2048  # in a row group


def write_parquet(faces: FaceSet, path: Path | str, *, progress: Progress | None = None) -> None:
    """Write faces as Parquet that `datasets.load_dataset("parquet", data_files=...)` reads, whole or not at all.

    Columns: image (PNG), label (-1 where it is unknown), split, id and, where there are votes, votes (10 numbers in
    the order of `VOTES`). Raises ExtraError where pyarrow is not installed, and OutputError.
    """
    arrow, parquet = pyarrow_or_error()
    schema = _schema(arrow, voted=faces.votes is not None)
    with atomic_write(path) as file, parquet.ParquetWriter(file, schema) as writer:
        for rows in batches(len(faces), _ROWS):
            writer.write_table(arrow.table(_columns(arrow, faces[rows]), schema=schema))
            if progress:
                progress(rows.stop, len(faces))


def pyarrow_or_error() -> tuple[Any, Any]:
    """The modules pyarrow and pyarrow.parquet. Raises ExtraError where they are not installed."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ExtraError("Parquet", extra="parquet") from error
    return pa, pq


def _schema(arrow: Any, *, voted: bool) -> Any:
    text = {"dtype": "string", "_type": "Value"}
    features: dict[str, Any] = {
        "image": {"_type": "Image"},
        "label": {"names": list(EXPRESSIONS), "_type": "ClassLabel"},
        "split": text,
        "id": text,
    }
    fields = [
        ("image", arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])),
        ("label", arrow.int64()),
        ("split", arrow.string()),
        ("id", arrow.string()),
    ]
    if voted:  # a type that old and new versions of `datasets` know
        votes = {"feature": {"dtype": "float32", "_type": "Value"}, "length": len(VOTES), "_type": "Sequence"}
        features["votes"] = votes
        fields.append(("votes", arrow.list_(arrow.float32(), len(VOTES))))
    return arrow.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features}})})


def _columns(arrow: Any, faces: FaceSet) -> dict[str, Any]:
    columns = {
        "image": [{"bytes": png_of(image), "path": None} for image in faces.images],
        "label": faces.labels,
        "split": faces.splits.tolist(),
        "id": faces.ids.tolist(),
    }
    if faces.votes is not None:
        columns["votes"] = arrow.FixedSizeListArray.from_arrays(faces.votes.ravel(), len(VOTES))
    return columns

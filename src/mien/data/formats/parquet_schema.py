"""The layout that Hugging Face's `datasets` gives image data sets in Parquet: names and types of the columns.

A row has `image` (a struct of the encoded file's bytes and its path) and `label` (a whole number). The names of the
numbers, and the type of each column, stand as JSON in the schema's metadata, under the key `huggingface`.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mien.data.formats.claimed_size import require_plausible_size
from mien.io.parquet_rows import import_pyarrow
from mien.labels import EXPRESSIONS, VOTES
from mien.types import FACE_SIDE

IMAGE_COLUMNS = ("image", "img", "img_bytes")
LABEL_COLUMNS = ("label", "labels", "emotion")
OTHER_COLUMNS = ("split", "id", "votes")  # that `write_parquet` adds

_BYTES_A_VALUE = 4


def open_parquet(path: Path) -> Any:
    """Open a Parquet file so that a text or a picture that many rows share is held in memory once.

    Raises DataError where its rows and columns claim far more memory than the file has bytes.
    """
    _, parquet = import_pyarrow()
    with parquet.ParquetFile(path) as file:
        metadata, columns = file.metadata, [file.schema.column(place) for place in range(len(file.schema))]
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        require_plausible_size(path, sum(group.total_byte_size for group in groups))
        for number in range(len(groups)):  # Arrow raises here what would end the process where columns are asked for
            next(file.iter_batches(batch_size=1, row_groups=[number]), None)
    chunks = [group.column(place) for group in groups for place in range(group.num_columns)]
    held = sum(max(chunk.total_uncompressed_size, _BYTES_A_VALUE * chunk.num_values) for chunk in chunks)
    require_plausible_size(path, held + metadata.num_rows * FACE_SIDE**2)
    shared = [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]
    return parquet.ParquetFile(path, metadata=metadata, read_dictionary=shared)


def find_class_names(schema: Any, label: str) -> list[str] | None:
    """Return the names of the classes, if the schema's metadata gives them."""
    try:
        names = json.loads(schema.metadata[b"huggingface"])["info"]["features"][label]["names"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return [str(name) for name in names] if isinstance(names, list) else None


def find_own_classes(schema: Any) -> list[str] | None:
    """Return the classes that `write_parquet` has put into the metadata, or None: then they are the seven."""
    try:
        names = json.loads(schema.metadata[b"mien"])["class_names"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return [str(name) for name in names] if isinstance(names, list) else None


def make_schema(arrow: Any, class_names: Sequence[str], *, voted: bool) -> Any:
    """Return the schema of the columns that `write_parquet` writes; voted: with votes."""
    text = {"dtype": "string", "_type": "Value"}
    features: dict[str, Any] = {
        "image": {"_type": "Image"},
        "label": {"names": list(class_names), "_type": "ClassLabel"},
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
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    if tuple(class_names) != EXPRESSIONS:
        metadata["mien"] = json.dumps({"class_names": list(class_names)})
    return arrow.schema(fields, metadata=metadata)

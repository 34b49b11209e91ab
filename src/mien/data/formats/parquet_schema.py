"""The layout that Hugging Face's `datasets` gives image data sets in Parquet: names and types of the columns.

A row has `image` (a struct of the encoded file's bytes and its path) and `label` (a whole number). The names of the
numbers, and the type of each column, stand as JSON in the schema's metadata, under the key `huggingface`.
"""

import json
from typing import Any

from mien.errors import ExtraError
from mien.labels import EXPRESSIONS, VOTES

IMAGE_COLUMNS = ("image", "img", "img_bytes")
LABEL_COLUMNS = ("label", "labels", "emotion")
OTHER_COLUMNS = ("split", "id", "votes")  # that `write_parquet` adds


def import_pyarrow() -> tuple[Any, Any]:
    """Return the modules pyarrow and pyarrow.parquet. Raises ExtraError where they are not installed."""
    try:
        import pyarrow as pa  # an extra, which only Parquet needs
        import pyarrow.parquet as pq  # as above
    except ImportError as error:
        raise ExtraError("Parquet", extra="parquet") from error
    return pa, pq


def find_class_names(schema: Any, label: str) -> list[str] | None:
    """Return the names of the classes, if the schema's metadata gives them."""
    try:
        names = json.loads(schema.metadata[b"huggingface"])["info"]["features"][label]["names"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return [str(name) for name in names] if isinstance(names, list) else None


def make_schema(arrow: Any, *, voted: bool) -> Any:
    """Return the schema of the columns that `write_parquet` writes; voted: with votes."""
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

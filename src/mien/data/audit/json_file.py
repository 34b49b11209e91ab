"""The JSON that people and pages hand back: read with care, since it may be damaged or made by somebody else."""

import json
from pathlib import Path
from typing import Any

from mien.errors import DataError, explain_read_errors

_LONGEST_TEXT = 1 << 27  # characters: some hundred times the audit of FER2013
_DEEPEST = 8  # levels of values in values
_TOO_DEEP = "its values are nested too deep"
_MOST_ROWS = 1 << 40  # more faces than any set has


def read_text(path: Path | str) -> str:
    """Return the text of a UTF-8 file. Raises DataError where it cannot be read."""
    try:
        with explain_read_errors(path), Path(path).open(encoding="utf-8") as file:
            text = file.read(_LONGEST_TEXT)
    except UnicodeDecodeError as error:
        raise DataError(f"cannot read {path}: it must be UTF-8 text") from error
    if len(text) == _LONGEST_TEXT or "\0" in text:  # a device may have no end
        raise DataError(f"cannot read {path}: it must be UTF-8 text of less than {_LONGEST_TEXT:,} characters")
    return text


def parse_json(text: str) -> dict[str, Any]:
    """Parse JSON text that must be an object, whose text must be Unicode. Raises DataError that says what is wrong."""
    try:
        content = json.loads(text)
        json.dumps(content, ensure_ascii=False).encode()  # a lone surrogate (\ud800) can be written nowhere
    except UnicodeEncodeError as error:
        raise DataError("it holds half of a character") from error
    except RecursionError as error:
        raise DataError(_TOO_DEEP) from error
    except ValueError as error:
        raise DataError(f"it is no JSON: {str(error)[:80]}") from error
    if not isinstance(content, dict):
        raise DataError(f"it must be a JSON object, got {type(content).__name__}")
    if _is_deeper(content, _DEEPEST):
        raise DataError(_TOO_DEEP)
    return content


def is_whole(value: object) -> bool:
    """Return whether a value is a whole number from 0 that may count faces."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST_ROWS


def is_text(value: object) -> bool:
    """Return whether a value is text that can be written as UTF-8."""
    try:
        return isinstance(value, str) and bool(value.encode() or True)
    except UnicodeEncodeError:
        return False


def _is_deeper(value: Any, levels: int) -> bool:
    """Return whether a value holds values in values over more levels than so many."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels == 0 or any(_is_deeper(each, levels - 1) for each in inner)

"""The place of a batch's results: no source may find them, or the next run would take them for its inputs."""

from collections.abc import Sequence
from fnmatch import fnmatch
from glob import has_magic
from pathlib import Path

from mien.batch.storage import is_address
from mien.errors import OutputError
from mien.io.atomic_write import exists, is_dir, require_folder

ROWS, ERRORS, MANIFEST, SUFFIX = "rows", "errors.parquet", "manifest.json", ".parquet"

_WRITTEN = ((ERRORS,), (ROWS, f"x{SUFFIX}"))  # files of the results that a source could take for inputs


def require_place(out: str) -> None:
    """Refuse a folder that cannot be made or written. Raises OutputError."""
    if not is_address(out):
        require_folder(Path(out))


def require_outside(out: str, source: str) -> None:
    """Refuse a folder of results that lies in a source, or that a pattern matches. Raises OutputError."""
    if finds_results(source, out):
        raise OutputError(f"{out} must not lie in {source}, which is read; choose another folder")


def finds_results(source: str, out: str) -> bool:
    """Return whether a folder or a pattern stands for files that are written into `out`."""
    return is_address(source) == is_address(out) and _finds(source, _parts(out))


def _finds(source: str, out: tuple[str, ...]) -> bool:
    pattern = tuple(source.split("/")) if is_address(source) else Path(source).parts
    fixed = next((place for place, part in enumerate(pattern) if has_magic(part)), len(pattern))
    if fixed == len(pattern) or exists(source):
        return (is_address(source) or is_dir(source)) and out[: len(_parts(source))] == _parts(source)
    above = _parts("/".join(pattern[:fixed]) if is_address(source) else str(Path(*pattern[:fixed])))
    if out[: len(above)] != above:
        return False
    return any(_matches((*out[len(above) :], *written), pattern[fixed:]) for written in _WRITTEN)


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Tell whether a path matches a pattern, in which `**` stands for any folders, and only a dot for hidden ones."""
    if not pattern or not parts:
        return not parts and all(each == "**" for each in pattern)
    hidden = parts[0].startswith(".") and not pattern[0].startswith(".")
    if pattern[0] == "**":
        return _matches(parts, pattern[1:]) or (not hidden and _matches(parts[1:], pattern))
    return not hidden and fnmatch(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


def _parts(path: str) -> tuple[str, ...]:
    return tuple(path.rstrip("/").split("/")) if is_address(path) else Path(path).resolve().parts

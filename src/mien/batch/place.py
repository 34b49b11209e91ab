"""The place of a batch's results: no source may find them, or the next run would take them for its inputs."""

from glob import has_magic
from pathlib import Path

from mien.batch.storage import is_address
from mien.errors import OutputError
from mien.io.atomic_write import exists, is_dir, require_folder
from mien.io.source import matches_parts

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
    folders, wanted = out[len(above) :], pattern[fixed:]
    if any(part.startswith(".") for part in folders) and not any(part.startswith(".") for part in wanted):
        return False  # hidden folders are matched by nothing else
    return any(matches_parts((*folders, *written), wanted) for written in _WRITTEN)


def _parts(path: str) -> tuple[str, ...]:
    return tuple(path.rstrip("/").split("/")) if is_address(path) else Path(path).resolve().parts

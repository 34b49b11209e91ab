"""The hook that lets PyInstaller pack mien whole, found by the entry point `pyinstaller40` of the package."""

from pathlib import Path


def get_hook_dirs() -> list[str]:
    """Return the folder that `hook-mien.py` is in."""
    return [str(Path(__file__).parent)]

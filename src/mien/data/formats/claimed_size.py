"""A guard against small files that would fill the memory once they are unpacked."""

from pathlib import Path

from mien.errors import DataError

# What a file may unpack to, in bytes: this, or so many times its own size. Pictures of faces deflate by a few percent.
_SMALL, _LARGEST_RATIO = 64_000_000, 50


def require_plausible_size(path: Path, claimed: int) -> None:
    """Raise DataError where a small file claims to unpack to a huge one, before it is unpacked."""
    limit = max(_SMALL, _LARGEST_RATIO * path.stat().st_size)
    if claimed > limit:
        raise DataError(
            f"{path} must not unpack to more than {limit:,} bytes, and claims {claimed:,}: it is damaged, or made to "
            "fill the memory"
        )

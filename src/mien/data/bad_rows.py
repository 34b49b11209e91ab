"""What a reader does with an item (a row, a file) that is no face: stop at once, or tell the caller and go on."""

from collections.abc import Callable

from mien.errors import DataError

OnBad = Callable[[DataError], None]  # told of each bad item, which is then left out; `errors.append` will do


def refuse(error: DataError, on_bad: OnBad | None) -> None:
    """Raise the error, or hand it to `on_bad` where there is one."""
    if on_bad is None:
        raise error
    on_bad(error)

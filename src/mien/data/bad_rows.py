"""Bad rows and files: a reader stops at the first one, or reports each one and goes on without it."""

from collections.abc import Callable

from mien.errors import DataError

OnBad = Callable[[DataError], None]  # called with each bad row or file, which is then left out; `errors.append` will do


def raise_or_report(error: DataError, on_bad: OnBad | None) -> None:
    """Raise the error, or hand it to `on_bad` if there is one."""
    if on_bad is None:
        raise error
    on_bad(error)

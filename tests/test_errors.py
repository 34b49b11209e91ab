"""Errors are one line that a terminal shows and does not obey, here and in other processes."""

import pickle
from pathlib import Path

import pytest

from mien import errors
from mien.errors import DataError, ExtraError, MienError, OutputError, explain_read_errors, explain_write_errors, plain


def test_text_of_others_is_shown_and_not_obeyed() -> None:
    assert plain("\x1b[2Jcaf\xe9\x07 \u202efish\n\t\xa0") == "\ufffd[2Jcafé\ufffd \ufffdfish\n\t\xa0"
    assert str(DataError("a\nb\x1b.png is none")) == "a b\ufffd.png is none"


def test_a_message_is_no_longer_than_a_screen() -> None:
    text = str(DataError("name" * 10_000 + ": there is no such file"))
    assert len(text) < 1000
    assert text.endswith("name: there is no such file")


@pytest.mark.parametrize("kind", [each for each in vars(errors).values() if isinstance(each, type)])
def test_every_error_survives_the_way_to_another_process(kind: type) -> None:
    if not issubclass(kind, MienError):
        return
    error = ExtraError("reading videos", extra="video") if kind is ExtraError else kind("what is wrong")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301  # as process pools do
    assert (type(again), str(again)) == (kind, str(error))


def test_what_the_system_refuses_is_said_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "none.txt"
    with pytest.raises(DataError, match=r"cannot read .*none\.txt: No such file"), explain_read_errors(path):
        path.read_text()
    with pytest.raises(OutputError, match=r"cannot write a: full"), explain_write_errors("a"):
        raise OSError(28, "full")

"""Workers that end: by chance, they are replaced; at the same picture again and again, it is left out."""

import pytest

from mien.batch.deaths import Attempt, Deaths
from mien.errors import RunError


def test_a_first_death_changes_nothing() -> None:
    deaths = Deaths()
    assert deaths.begin("a") == deaths.begin("a") == Attempt()


def test_from_the_third_attempt_on_pictures_are_read_one_by_one() -> None:
    deaths = Deaths()
    attempts = [deaths.begin("a") for _ in range(3)]
    assert [each.careful for each in attempts] == [False, False, True]
    assert not deaths.begin("b").careful


def test_a_picture_at_which_careful_workers_end_is_left_out() -> None:
    deaths = Deaths()
    for _ in range(4):
        assert deaths.begin("a").skip == ()
        deaths.read("a", 7)
    assert deaths.begin("a") == Attempt((7,), careful=True)
    deaths.read("a", 9)
    assert deaths.begin("a").skip == (7,)
    deaths.read("a", 9)
    assert deaths.begin("a").skip == (7, 9)


def test_a_partition_that_is_done_counts_no_death() -> None:
    deaths = Deaths()
    for _ in range(30):
        assert deaths.begin("a") == Attempt()
        deaths.finish("a")


def test_workers_that_end_anywhere_end_the_batch() -> None:
    deaths = Deaths()
    for item in range(12):
        deaths.begin("a")
        deaths.read("a", item)
    with pytest.raises(RunError, match="workers end again and again"):
        deaths.begin("a")

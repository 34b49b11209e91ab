"""The partitions of a batch: all inputs in order, names that tell their content, and few that change with an input."""

from dataclasses import replace

import pytest

from mien.batch.inputs import Input
from mien.batch.plan import Partition, make_plan, partition_size


def pictures(count: int) -> list[Input]:
    return [Input(f"photos/{place:05d}.jpg", "picture", 1000 + place, "1") for place in range(count)]


def names(inputs: list[Input], *, model: str = "a") -> list[str]:
    return [each.name for each in make_plan([], inputs, settings={"model": model}, size=20).partitions]


def test_partitions_have_all_inputs_in_order() -> None:
    inputs = pictures(1000)
    plan = make_plan(["photos"], inputs, settings={}, size=20)
    assert [each for partition in plan.partitions for each in partition.inputs] == inputs
    assert plan.count == 1000
    assert len({each.name for each in plan.partitions}) == len(plan.partitions)
    assert all(10 <= each.count <= 40 for each in plan.partitions[:-1])


def test_names_tell_the_inputs_the_model_and_the_settings() -> None:
    inputs = pictures(100)
    assert names(inputs) == names(pictures(100))
    assert not set(names(inputs)) & set(names(inputs, model="b"))
    for changed in ({"size": 7}, {"stamp": "2"}, {"path": "photos/00050.png"}):
        other = [*inputs[:50], replace(inputs[50], **changed), *inputs[51:]]
        assert 1 <= len(set(names(other)) - set(names(inputs))) <= 2


@pytest.mark.parametrize("place", [0, 500, 999])
def test_a_picture_that_comes_changes_few_partitions(place: int) -> None:
    inputs = pictures(1000)
    fewer = names(inputs[:place] + inputs[place + 1 :])
    assert len(set(names(inputs)) - set(fewer)) <= 3


def test_videos_and_large_row_groups_are_partitions_of_their_own() -> None:
    table = [Input("a.parquet", "table", 9, "1", (place, place + 1), 30) for place in range(3)]
    inputs = [*pictures(3), Input("party.mp4", "video", 9, "1"), *table]
    plan = make_plan([], inputs, settings={}, size=20)
    assert [len(each.inputs) for each in plan.partitions][-4:] == [1, 1, 1, 1]
    assert plan.has_videos
    assert plan.count == 94


def test_a_partition_goes_through_text() -> None:
    inputs = (Input("\udcff.jpg", "picture", 1, "1"), Input("a.parquet", "table", 9, "1", (2, 3), 30))
    assert Partition.from_json(Partition("name", inputs).to_json()) == Partition("name", inputs)


def test_few_pictures_still_make_many_partitions() -> None:
    assert [partition_size(count) for count in (0, 1000, 2000, 20_000, 10**6, 10**9)] == [16, 16, 32, 512, 1024, 1024]

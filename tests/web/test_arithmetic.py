"""The arithmetic in TypeScript, run by Node, against Python's."""

import json
from pathlib import Path

import pytest

from golden import assert_same_rows, expected, pictures
from node import run_node


@pytest.mark.node
def test_thirty_pictures_give_the_rows_of_python(dist: Path, tmp_path: Path) -> None:
    run_node("build.mjs", "golden", tmp_path)
    entries = []
    for name, picture in pictures().items():
        (tmp_path / f"{name}.rgb").write_bytes(picture.tobytes())
        entries.append({"name": name, "width": picture.shape[1], "height": picture.shape[0]})
    (tmp_path / "index.json").write_text(json.dumps(entries))
    answers = json.loads(run_node(tmp_path / "golden.mjs", dist, tmp_path))
    assert len(answers) == len(pictures()) == 30
    for name, rows in zip(pictures(), answers, strict=True):
        assert_same_rows(name, rows)


def test_the_pictures_show_what_they_should() -> None:
    counts = {name: len(rows) for name, rows in expected().items()}
    assert (counts["blank"], counts["pair"], counts["crowd"]) == (0, 2, 45)
    assert sum(count == 1 for count in counts.values()) >= 25
    words = {str(row["quality"]).partition(":")[0] for rows in expected().values() for row in rows}
    assert {"good", "sideways"} <= words

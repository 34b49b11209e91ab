"""The page that ships is the one that its TypeScript builds."""

import json
import re
from importlib.resources import files
from pathlib import Path

import pytest

from mien.labels import COLOURS
from node import WEB, run_node


@pytest.mark.node
def test_the_shipped_page_is_built_from_its_source(tmp_path: Path) -> None:
    run_node("node_modules/typescript/bin/tsc")
    run_node("build.mjs", "remote", tmp_path)
    shipped = Path(str(files("mien.serve") / "static"))
    assert {path.name for path in shipped.iterdir()} == {"index.html", "page.css", "page.js"}
    for path in shipped.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), f"{path.name} is old: run `make page`"


def test_the_packages_are_pinned_and_have_no_address() -> None:
    packages = json.loads((WEB / "package-lock.json").read_text())["packages"]
    assert all("resolved" not in about for about in packages.values())
    assert all("integrity" in about for name, about in packages.items() if name)
    asked = json.loads((WEB / "package.json").read_text())["devDependencies"]
    assert all(re.fullmatch(r"[\d.]+", version) for version in asked.values())


def test_colours_are_those_of_the_labels() -> None:
    lines = re.findall(r"^  (\w+): \"(#\w{6})\",$", (WEB / "src" / "colours.ts").read_text(), flags=re.MULTILINE)
    assert dict(lines) == {name: "#{:02x}{:02x}{:02x}".format(*colour) for name, colour in COLOURS.items()}

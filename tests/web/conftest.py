"""The page that uploads nothing, built once for all tests."""

from pathlib import Path

import pytest

from node import run_node


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that `make web` builds."""
    folder = tmp_path_factory.mktemp("web") / "dist"
    run_node("build.mjs", "local", folder)
    return folder

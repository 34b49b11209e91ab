"""The markers and fixtures that all tests share.

Markers say what a test needs beside Python: `browser` (chromium and chromedriver), `node` (Node and the packages of
web/), `fer2013` (the data set) and `linux` (/proc, signals or file names that other systems do not have). Where it is
missing, the test is skipped and says so; with the variable MIEN_SKIP_NOTHING set, as in CI, a missing browser and a
missing Node are failures.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

from browser import missing_programs
from node import missing_packages

settings.register_profile("mien", deadline=None)  # a busy machine is no fault of the code
settings.load_profile("mien")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that ask for FER2013, and skip those that need what is not there."""
    for item in items:
        if "fer2013" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.fer2013)
        if item.get_closest_marker("linux") and sys.platform != "linux":
            item.add_marker(pytest.mark.skip(reason="needs Linux"))
        if "MIEN_SKIP_NOTHING" in os.environ:
            continue
        if item.get_closest_marker("browser") and missing_programs():
            item.add_marker(pytest.mark.skip(reason=missing_programs()))
        if item.get_closest_marker("node") and missing_packages():
            item.add_marker(pytest.mark.skip(reason=missing_packages()))


@pytest.fixture(scope="session")
def fer2013(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with `fer2013.csv`, `fer2013new.csv` and `report/`: FER2013 whole.

    It is looked for in the folder that MIEN_FER2013 names, then beside the repository in `shared/data`. Either holds
    these files, or `unpack_fer2013.py`, which writes them.
    """
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("MIEN_FER2013") or beside)
    if (folder / "fer2013.csv").exists():
        return folder
    script = folder / "unpack_fer2013.py"
    if not script.exists():
        pytest.skip(f"FER2013 is not at hand: set MIEN_FER2013 to a folder that holds it; there is none in {folder}")
    out = tmp_path_factory.mktemp("fer2013")
    subprocess.run([sys.executable, script, out], check=True)
    return out

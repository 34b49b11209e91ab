"""The video that several tests of reading and writing share."""

import pytest

from clips import Actor, Clip, at, write_clip


@pytest.fixture(scope="package")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """Two seconds, with sound; a new background every half second tells times apart."""
    path = tmp_path_factory.mktemp("clips") / "größer 1:2.mp4"
    return write_clip(path, [Actor(at(160, 120))], cuts=(0.5, 1.0, 1.5), sound=True)

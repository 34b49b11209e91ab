"""Models, pictures and a clip that the tests of the commands share."""

from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from clips import Actor, Clip, at, write_clip
from support import tiny_model


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the smallest model file."""
    return tiny_model(tmp_path_factory.mktemp("models") / "tiny.onnx")


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return another model file."""
    return tiny_model(tmp_path_factory.mktemp("models") / "other.onnx", name="other", seed=1)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """Return a photo with a face, in a folder of its own."""
    path = tmp_path / "meine Fotos" / "größte.jpg"
    path.parent.mkdir()
    Image.fromarray(skimage.data.astronaut()).save(path, quality=95)
    return path


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    """Return a folder with 12 face crops."""
    folder = tmp_path / "crops"
    folder.mkdir()
    for number, face in enumerate(np.random.default_rng(0).integers(0, 256, (12, 48, 48), np.uint8)):
        Image.fromarray(face).save(folder / f"{number:02}.png")
    return folder


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """Return a second of one person, with sound."""
    return write_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", [Actor(at(160, 120))], duration=1.0, sound=True)

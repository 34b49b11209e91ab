"""`mien predict --show`: a window with what is seen."""

import csv
import io
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from clips import Clip
from support import run_mien


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


class Window:
    """What `--show` needs of OpenCV: it keeps what is shown, and presses q after some frames."""

    WINDOW_NORMAL = WINDOW_KEEPRATIO = WND_PROP_VISIBLE = 0
    error = RuntimeError

    def __init__(self, frames: int, *, windows: bool = True, closed: bool = False) -> None:
        self.shown: list[NDArray[np.uint8]] = []
        self.texts: list[str] = []
        self.waits: set[int] = set()
        self.destroyed = False
        self._frames, self._windows, self._closed = frames, windows, closed

    def namedWindow(self, *_: object) -> None:  # noqa: N802
        if not self._windows:
            raise self.error("not implemented")

    def putText(self, _picture: object, text: str, *_: object) -> None:  # noqa: N802
        self.texts.append(text)

    def imshow(self, _title: str, picture: NDArray[np.uint8]) -> None:
        self.shown.append(picture)

    def waitKey(self, milliseconds: int) -> int:  # noqa: N802
        self.waits.add(milliseconds)
        return ord("q") if len(self.shown) == self._frames and not self._closed else -1

    def getWindowProperty(self, *_: object) -> float:  # noqa: N802
        return 0.0 if self._closed and len(self.shown) == self._frames else 1.0

    def destroyAllWindows(self) -> None:  # noqa: N802
        self.destroyed = True


@pytest.mark.parametrize("closed", [False, True])
def test_a_window_shows_frames_until_it_is_closed(
    clip: Clip, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closed: bool
) -> None:
    window = Window(5, closed=closed)
    monkeypatch.setitem(sys.modules, "cv2", window)
    monkeypatch.setenv("DISPLAY", ":0")
    outcome = run_mien("predict", clip.path, "-m", model, "--show", "-o", tmp_path / "p.csv")
    assert outcome.code == 0
    assert len(window.shown) == 5
    assert window.shown[0].shape == (480, 640, 3)
    assert np.abs(window.shown[0][::2, ::2, ::-1][:10, :80].astype(int) - clip.pictures[0][:10, :80]).mean() < 10
    assert all(" ms" in text for text in window.texts)
    assert "frames/s" in window.texts[-1]
    assert (window.waits, window.destroyed) == ({1}, True)
    assert len(table((tmp_path / "p.csv").read_text(encoding="utf-8"))) in {4, 5}


def test_a_picture_stays_in_the_window_until_a_key_is_pressed(
    clip: Clip, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = Window(1)
    monkeypatch.setitem(sys.modules, "cv2", window)
    monkeypatch.setenv("DISPLAY", ":0")
    Image.fromarray(clip.pictures[0]).save(tmp_path / "a.png")
    assert run_mien("predict", tmp_path / "a.png", "-m", model, "--show").code == 0
    assert (len(window.shown), window.waits) == (1, {0})


@pytest.mark.parametrize(
    ("opencv", "screen", "message"),
    [
        (Window(1), "", "--show needs a screen, and there is none here"),
        (None, ":0", "--show needs OpenCV; install it with: pip install opencv-python"),
        (Window(1, windows=False), ":0", "replace it by opencv-python"),
    ],
)
@pytest.mark.linux
def test_where_nothing_can_be_shown_it_is_said_in_a_line(
    clip: Clip, model: Path, monkeypatch: pytest.MonkeyPatch, opencv: object, screen: str, message: str
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", opencv)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", screen)
    outcome = run_mien("predict", clip.path, "-m", model, "--show")
    assert outcome.code == 1
    assert message in outcome.err
    assert (len(outcome.err.splitlines()), outcome.out) == (1, "")

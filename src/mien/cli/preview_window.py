"""A window that shows what is seen as it is seen. It needs a screen, and OpenCV built with windows."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mien.cli.sinks import Sink
from mien.errors import OutputError
from mien.io.frame import Frame
from mien.types import Prediction
from mien.visualize.annotate import draw

_TITLE = "mien"
_CLOSING = (ord("q"), ord("Q"), 27)  # the keys that close the window; 27 is Esc
_HOLD = 0.9  # the share of the latency and the rate shown that stays from one frame to the next


class WindowClosed(Exception):  # noqa: N818  # no error, but an end
    """The user wants to see no more."""


@contextmanager
def preview_window() -> Iterator[Sink]:
    """Give a function that shows a frame with what was seen in it, and how old that is by then.

    It raises WindowClosed once q was pressed or the window was closed.
    Raises OutputError where there is no screen, or OpenCV is missing or knows no windows.
    """
    cv2 = _open_window()
    try:
        yield _Window(cv2).show
    finally:
        cv2.destroyAllWindows()


def _open_window() -> Any:
    """OpenCV with an open window."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise OutputError("--show needs a screen, and there is none here; --draw out.mp4 writes what it would show")
    try:
        import cv2  # optional, and only --show needs it
    except ImportError as error:
        raise OutputError("--show needs OpenCV; install it with: pip install opencv-python") from error
    try:
        cv2.namedWindow(_TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
    except cv2.error as error:
        raise OutputError(
            "--show needs a screen and an OpenCV that has windows, and this one opens none; "
            "where it is opencv-python-headless, replace it by opencv-python"
        ) from error
    return cv2


class _Window:
    """An open window. Latency: from when a frame had been read to when it is shown."""

    def __init__(self, cv2: Any) -> None:
        self._cv2 = cv2
        self._latency = self._pause = 0.0  # seconds
        self._before: float | None = None

    def show(self, frame: Frame, prediction: Prediction) -> None:
        """Show the next frame."""
        drawn = draw(frame.picture, prediction)[:, :, ::-1].copy()  # OpenCV's order of colours
        self._cv2.putText(drawn, self._figures(frame), (8, drawn.shape[0] - 10), 0, 0.6, (255, 255, 255), 2)
        self._cv2.imshow(_TITLE, drawn)
        pressed = self._cv2.waitKey(1 if frame.moving else 0) & 0xFF  # a picture stays until a key is pressed
        if pressed in _CLOSING or self._cv2.getWindowProperty(_TITLE, self._cv2.WND_PROP_VISIBLE) < 1:
            raise WindowClosed

    def _figures(self, frame: Frame) -> str:
        """The latency and the rate, as text."""
        now = time.monotonic()
        latency, pause = now - frame.arrived, now - (self._before or now)
        hold = _HOLD if self._before is not None and self._pause else 0.0
        self._latency = hold * self._latency + (1 - hold) * latency
        self._pause = hold * self._pause + (1 - hold) * pause
        self._before = now
        rate = f", {1 / self._pause:.0f} frames/s" if self._pause else ""
        return f"{self._latency * 1000:.0f} ms{rate}"

"""Matplotlib figures that need no screen and obey no environment."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mien.errors import ExtraError


def make_figure(**options: Any) -> Any:
    """Make a Matplotlib figure that is drawn by Agg, whatever back end the environment names.

    options: those of `matplotlib.figure.Figure`. Raises ExtraError where Matplotlib is not installed.
    """
    try:
        with ignored_mplbackend():
            from matplotlib.backends.backend_agg import FigureCanvasAgg  # an extra, and heavy
            from matplotlib.figure import Figure  # an extra, and heavy
    except ImportError as error:
        raise ExtraError("drawing a chart as .png", extra="video") from error
    figure = Figure(**options)
    FigureCanvasAgg(figure)
    return figure


def figure_png(figure: Any, *, dpi: int = 120) -> bytes:
    """Draw a figure as the content of a PNG file."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=dpi)
    return stream.getvalue()


@contextmanager
def ignored_mplbackend() -> Iterator[None]:
    """Hide MPLBACKEND while Matplotlib is imported.

    Notebooks name their own back end there, for every command that they run. Matplotlib refuses to be imported where
    that back end is not installed.
    """
    named = os.environ.pop("MPLBACKEND", None)
    try:
        yield
    finally:
        if named is not None:
            os.environ["MPLBACKEND"] = named

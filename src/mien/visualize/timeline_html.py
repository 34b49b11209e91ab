"""A timeline as an HTML page that needs no network."""

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.io.html import fill_page
from mien.visualize.timeline_chart import Band, Chart

_QUALITY = 85  # of the thumbnails


def timeline_page(chart: Chart) -> str:
    """Draw a chart as the text of an HTML page."""
    length = chart.end - chart.start
    content = {
        "title": chart.title,
        "remark": chart.remark,
        "names": chart.class_names,
        "colours": [f"rgb{chart.colour(name)}" for name in chart.class_names],
        "start": chart.start,
        "end": chart.end,
        "width": chart.width,
        "ticks": [{"at": (seconds - chart.start) / length, "text": text} for seconds, text in chart.ticks()],
        "bands": [_band(chart, band) for band in chart.bands],
    }
    return fill_page("timeline.html", content=content)


def _band(chart: Chart, band: Band) -> dict[str, Any]:
    """Return a face's words and picture, and where it was seen: the first bin, and (B, K) probabilities as bytes."""
    when, what = chart.words(band)
    return {
        "name": f"#{band.track}",
        "source": band.source if len(chart.sources) > 1 else "",
        "when": when,
        "what": what,
        "view": "" if band.view is None else _jpeg(band.view),
        "runs": [{"first": first, "probs": _bytes(probs)} for first, probs in band.runs()],
    }


def _bytes(probs: NDArray[np.float64]) -> str:
    """Encode 0 to 1 as bytes from 0 to 255, in Base64."""
    return base64.b64encode(np.round(probs * 255).astype(np.uint8).tobytes()).decode()


def _jpeg(view: NDArray[np.uint8]) -> str:
    stream = io.BytesIO()
    Image.fromarray(view).save(stream, "JPEG", quality=_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()

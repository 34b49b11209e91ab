"""HTML that shows values in a notebook: pictures with boxes, sheets of faces, tables; without scripts."""

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from mien.labels import COLOURS

_LONGEST = 320  # pixels: the longer side of a thumbnail
_OTHER = (160, 160, 160)  # the colour of a class that has none

Box = Sequence[float]  # left, top, right, bottom in pixels of the picture


def thumbnail_html(picture: NDArray[np.uint8], boxes: Iterable[Box], faces: Iterable[tuple[str, float]]) -> str:
    """Return a small copy of a picture, (H, W, 3) uint8 RGB, with a box, a class and its probability for each face."""
    height, width = picture.shape[:2]
    scale = min(1.0, _LONGEST / max(height, width))
    (small_width, small_height), uri = _encoded(picture, "jpeg", quality=80)
    shapes = [f'<image width="{small_width}" height="{small_height}" href="{uri}"/>']
    for box, (name, prob) in zip(boxes, faces, strict=True):
        left, top, right, bottom = (value * scale for value in box)
        colour = "rgb({},{},{})".format(*COLOURS.get(name, _OTHER))
        shapes.append(
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{bottom - top:.1f}"'
            f' fill="none" stroke="{colour}" stroke-width="2"/>'
            f'<text x="{left:.1f}" y="{max(top - 4, 11):.1f}" font-size="12" font-family="sans-serif" fill="{colour}"'
            f' stroke="black" stroke-width="3" paint-order="stroke">{escape(name)} {prob:.0%}</text>'
        )
    return f'<svg width="{small_width}" height="{small_height}">{"".join(shapes)}</svg>'


def sheet_html(images: NDArray[np.uint8], captions: Iterable[str]) -> str:
    """Return grey pictures, (N, H, W) uint8, side by side, each over its caption."""
    shown = []
    for image, caption in zip(images, captions, strict=True):
        shown.append(
            '<figure style="display:inline-block;margin:2px;text-align:center">'
            f'<img src="{_encoded(image, "png")[1]}"><figcaption>{escape(caption)}</figcaption></figure>'
        )
    return "".join(shown)


def table_html(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of text."""
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join(f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in row)}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def titled_html(title: str, body: str) -> str:
    """Return what a value shows under its one-line form, without the form's angle brackets."""
    return f"<div><b>{escape(title.strip('<>'))}</b><br>{body}</div>"


def _encoded(picture: NDArray[np.uint8], kind: str, **options: int) -> tuple[tuple[int, int], str]:
    """Encode a picture, at most 320 pixels wide and high; return its width and height, and it as a data URI."""
    from PIL import Image  # a notebook alone needs it here, and values load without Pillow

    small = Image.fromarray(np.ascontiguousarray(picture))
    small.thumbnail((_LONGEST, _LONGEST))
    file = io.BytesIO()
    small.save(file, kind, **options)
    return small.size, f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"

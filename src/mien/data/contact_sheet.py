"""Many faces in one picture, to look at."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mien.types import FACE_SIDE, FaceSet

_GAP = 2  # pixels between faces
_CELL = 2 * FACE_SIDE + 8  # of a sheet with captions: the side of what a face has for itself
_LINE = 14  # pixels from line to line of a caption
_LINES = 2
_HEAD = 20  # pixels above the first row


def contact_sheet(faces: FaceSet) -> NDArray[np.uint8]:
    """(H, W) uint8 grey: the faces in rows, from the left and top, in about a square; white where there are none."""
    columns = max(1, math.isqrt(max(len(faces) - 1, 0)) + 1)
    rows = max(1, -(-len(faces) // columns))
    step = FACE_SIDE + _GAP
    sheet = np.full((rows * step + _GAP, columns * step + _GAP), 255, np.uint8)
    for number, image in enumerate(faces.images):
        top, left = (_GAP + place * step for place in divmod(number, columns))
        sheet[top : top + FACE_SIDE, left : left + FACE_SIDE] = image
    return sheet


def captioned_sheet(
    rows: Sequence[Sequence[tuple[NDArray[np.uint8], str]]], *, heads: Sequence[str]
) -> NDArray[np.uint8]:
    """(H, W) uint8 grey: rows of faces, (S, S) uint8 of any side, each with a caption of up to two lines under it.

    Each pixel of a face becomes 2x2; a face of a side over 48 is made as large as one of 48. heads: above the columns.
    """
    from PIL import Image, ImageDraw, ImageFont

    height = _CELL + _LINES * _LINE
    sheet = Image.new("L", (len(heads) * _CELL, _HEAD + len(rows) * height), 255)
    brush, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)

    def write(text: str, column: int, top: int) -> None:
        brush.text((column * _CELL + _CELL / 2, top), text, fill=0, font=font, anchor="mt")

    for column, head in enumerate(heads):
        write(head, column, 4)
    for number, row in enumerate(rows):
        top = _HEAD + number * height
        for column, (image, caption) in enumerate(row):
            side = min(2 * len(image), 2 * FACE_SIDE)
            margin = (_CELL - side) // 2
            face = Image.fromarray(image).resize((side, side), Image.Resampling.NEAREST)
            sheet.paste(face, (column * _CELL + margin, top + margin))
            for line, text in enumerate(caption.split("\n")[:_LINES]):
                write(text, column, top + _CELL + line * _LINE)
    return np.asarray(sheet)

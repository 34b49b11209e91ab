"""Contact sheets: many faces in one picture."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from mien.types import FACE_SIDE, FaceSet

_GAP = 2  # pixels between faces
# Pixels of a sheet with captions.
_CELL = 2 * FACE_SIDE + 8  # the side of a face's cell
_LINE = 14  # from line to line of a caption
_LINES = 2
_HEAD = 20  # above the first row


def contact_sheet(faces: FaceSet) -> NDArray[np.uint8]:
    """Draw faces in rows, in about a square, from the top left: (H, W) uint8 grey, white where there are none."""
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
    """Draw rows of faces, each with a caption under it: (H, W) uint8 grey.

    Parameters
    ----------
    rows
        Faces (S, S) uint8 of any side, with captions of up to two lines. Each pixel becomes 2x2; a face of a side over
        48 is made as large as one of 48.
    heads
        The text above each column.
    """
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

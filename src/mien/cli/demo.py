"""`mien demo`: a first look, at a portrait that ships."""

from importlib.resources import files
from pathlib import Path
from typing import Annotated

from mien.cli.console import say
from mien.cli.options import Quiet, out
from mien.cli.terminal_table import TerminalTable
from mien.io.atomic_write import require_suffix, require_writable
from mien.io.image import read_picture
from mien.pipeline.predictor import Predictor
from mien.visualize.annotate import PICTURE_SUFFIXES, draw, save_picture

_NEXT = """
The picture with the face marked is {out}: the astronaut Eileen Collins, by NASA.

Next, with pictures of your own:
  mien predict photo.jpg                         the faces of a photo
  mien predict photos/ --draw marked/            of a folder, and draws into copies
  mien predict photos/ -o faces.csv              as a table: .csv, .jsonl or .parquet
  mien predict crops/ --cropped                  where each picture is one face already
  mien models                                    what ships, and how good it is"""


def demo(
    out: Annotated[Path, out("FILE", "The annotated picture to write: .png or .jpg.")] = Path("mien-demo.png"),
    _quiet: Quiet = False,
) -> None:
    """Read the expression of a portrait that ships, and draw what was seen.

    Examples
    --------
    mien demo
    mien demo -o look.jpg
    """
    require_suffix(out, PICTURE_SUFFIXES, "a picture")
    require_writable(out)
    with (files("mien") / "assets" / "portrait.jpg").open("rb") as file:
        picture = read_picture(file)
    prediction = Predictor()(picture, source="portrait.jpg")
    TerminalTable([prediction.source]).add(prediction)
    save_picture(draw(picture, prediction), out)
    say(_NEXT.format(out=out))

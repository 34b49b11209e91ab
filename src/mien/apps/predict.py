"""`mien predict` and `mien demo`: expressions read from pictures, as a table, as files and as annotated pictures."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mien.errors import DataError
    from mien.infer.predictor import Predictor
    from mien.infer.sources import OnError
    from mien.types import Classifier, Prediction


def predict(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help="Pictures, folders of pictures, glob patterns in quotes, or - for a picture on standard input.",
            show_default=False,
        ),
    ],
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help="A model that ships, by name, or a model file; several are an ensemble.",
            metavar="MODEL",
        ),
    ] = None,
    crops: Annotated[
        bool, typer.Option("--crops", help="Each picture is one face, cropped already: no face is searched for.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write the table to this file: .csv, .jsonl or .parquet.", metavar="FILE"),
    ] = None,
    draw: Annotated[
        Path | None,
        typer.Option(help="Write the pictures, with what was seen drawn in, to this folder.", metavar="DIR"),
    ] = None,
    min_confidence: Annotated[
        float, typer.Option(min=0, max=1, help="Leave out faces whose expression is less certain than this.")
    ] = 0.0,
    min_face: Annotated[
        float,
        typer.Option(
            min=1,
            metavar="PIXELS",
            help="Leave out faces narrower than this. Big pictures are scaled down to what the smallest wanted face "
            "needs before faces are searched for, so a larger number is faster.",
        ),
    ] = 20.0,
    mirror: Annotated[bool, typer.Option("--mirror", help="Average over each face and its mirror image.")] = False,
) -> None:
    """Read the expressions of the faces in pictures."""
    from mien.infer.detector import whole
    from mien.infer.predictor import Predictor
    from mien.infer.sources import find_pictures

    names = list(find_pictures(sources))
    if draw is not None:
        _prepare(draw, names)
    predictor = Predictor(
        _classifier(model or [], mirror=mirror),
        detector=whole if crops else None,
        min_face=min_face,
        min_confidence=min_confidence,
    )
    tally = _Tally(len(names))
    with _table(output, names) as show, tally.progress_bar():
        for prediction in _predictions(predictor, names, draw, tally.refuse):
            tally.add(prediction)
            show(prediction)
        tally.require_some()
    tally.tell()
    tally.require_all()


def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The annotated picture to write.", metavar="FILE")
    ] = Path("mien-demo.png"),
) -> None:
    """Read the expression of a portrait that ships, and draw what was seen."""
    from importlib.resources import files

    from mien.apps.lines import Lines
    from mien.apps.terminal import stdout
    from mien.infer.draw import draw, save_picture
    from mien.infer.predictor import Predictor
    from mien.pixels import read_picture

    with (files("mien") / "models" / "portrait.jpg").open("rb") as file:
        picture = read_picture(file)
    prediction = Predictor()(picture, source="portrait.jpg")
    Lines([prediction.source]).show(prediction)
    save_picture(draw(picture, prediction), output)
    stdout.print(_NEXT.format(output=output), markup=False, soft_wrap=True)


_NEXT = """
The picture with the face marked is {output}: the astronaut Eileen Collins, by NASA.

Next, with pictures of your own:
  mien predict photo.jpg                         the faces of a photo
  mien predict photos/ --draw marked/            of a folder, and draws into copies
  mien predict photos/ -o faces.csv              as a table: .csv, .jsonl or .parquet
  mien predict crops/ --crops                    where each picture is one face already
  mien models                                    what ships, and how good it is"""


def _classifier(models: list[str], *, mirror: bool) -> "Classifier":
    """What the options -m and --mirror ask for."""
    from mien.infer.classifier import load
    from mien.infer.compose import Ensemble, Mirrored
    from mien.infer.predictor import DEFAULT_MODEL

    loaded = [load(model) for model in models or [DEFAULT_MODEL]]
    classifier: Classifier = loaded[0] if len(loaded) == 1 else Ensemble(*loaded)
    return Mirrored(classifier) if mirror else classifier


def _predictions(
    predictor: "Predictor", names: list[str], draw: Path | None, on_error: "OnError"
) -> "Iterator[Prediction]":
    """The predictions of all pictures; with `draw`, each picture is drawn while it is at hand."""
    if draw is None:
        yield from predictor.stream(names, on_error=on_error)
        return
    from mien.infer import draw as drawing
    from mien.infer.sources import read_frames

    taken: set[str] = set()
    for frame in read_frames(names, on_error=on_error):
        prediction = predictor(frame.picture, source=frame.source)
        drawing.save_picture(drawing.draw(frame.picture, prediction), draw / _drawn_name(frame.source, taken))
        yield prediction


def _drawn_name(source: str, taken: set[str]) -> str:
    """A name for a drawn picture that no other has: JPEG stays JPEG, anything else becomes PNG."""
    from mien.infer.sources import STDIN

    path = Path("stdin" if source == STDIN else source)
    suffix = path.suffix if path.suffix.lower() in {".jpg", ".jpeg"} else ".png"
    name, number = f"{path.stem}{suffix}", 1
    while name.lower() in taken:
        number += 1
        name = f"{path.stem}-{number}{suffix}"
    taken.add(name.lower())
    return name


def _prepare(folder: Path, names: list[str]) -> None:
    """Make the folder for drawn pictures, unless pictures that are read lie in it: they would be overwritten."""
    from mien.errors import OutputError

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror}") from error
    for parent in {Path(name).parent for name in names}:
        if parent.resolve() == folder.resolve():
            raise OutputError(f"--draw must be another folder than that of the pictures, got {folder}")


@contextmanager
def _table(output: Path | None, names: list[str]) -> "Iterator[Callable[[Prediction], None]]":
    """What shows a prediction: in a file, as lines on a terminal, or as CSV where standard output is none."""
    import sys

    from mien.apps.lines import Lines
    from mien.apps.terminal import stdout
    from mien.infer.tables import csv_writer, table_writer

    if output is None and stdout.is_terminal:
        yield Lines(names).show
        return
    with table_writer(output) if output is not None else csv_writer(sys.stdout) as write:
        yield lambda prediction: write(prediction.rows())


class _Tally:
    """Counts pictures, faces and what could not be read, shows how far things are, and sums up."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._pictures = 0
        self._faceless = 0
        self._expressions: Counter[str] = Counter()
        self._failed: list[DataError] = []
        self._progress: Callable[[int, int], None] = lambda _done, _total: None

    @contextmanager
    def progress_bar(self) -> Iterator[None]:
        """Show progress within the block."""
        from mien.apps.terminal import progress_bar

        with progress_bar("pictures") as self._progress:
            yield

    def add(self, prediction: "Prediction") -> None:
        """Count a picture's prediction."""
        self._pictures += 1
        self._faceless += not len(prediction.faces)
        self._expressions.update(prediction.scores.names[top] for top in prediction.scores.top.tolist())
        self._progress(self._pictures + len(self._failed), self._total)

    def refuse(self, _name: str, error: "DataError") -> None:
        """Count a picture that cannot be read, and tell of it, as its error does, where there are others."""
        self._failed.append(error)
        if self._total > 1:
            _remark(f"left out: {error}")

    def require_some(self) -> None:
        """Raise DataError where no picture could be read."""
        from mien.errors import DataError

        if self._failed and not self._pictures:
            raise self._failed[0] if self._total == 1 else DataError(f"none of {self._total:,} pictures could be read")

    def require_all(self) -> None:
        """Raise DataError where a picture could not be read."""
        from mien.errors import DataError

        if self._failed:
            raise DataError(
                f"{len(self._failed):,} of {self._total:,} pictures could not be read; they are named above"
            )

    def tell(self) -> None:
        """Say what was seen, on standard error."""
        faces = sum(self._expressions.values())
        text = f"{_count(faces, 'face')} in {_count(self._pictures, 'picture')}"
        if self._faceless and self._pictures > 1:
            text += f", {self._faceless:,} without any"
        if faces > 1:
            text += ": " + ", ".join(f"{name} {count:,}" for name, count in self._expressions.most_common())
        _remark(text)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _remark(text: str) -> None:
    from mien.apps.terminal import stderr

    stderr.print(text, markup=False, soft_wrap=True)

"""Predictions as lines of a table on a terminal, printed as they come, since there may be very many."""

from collections.abc import Iterable

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from mien.cli.console import stdout
from mien.errors import plain
from mien.labels import COLOURS
from mien.types import Prediction

_SHORTEST, _LONGEST = 12, 40  # characters of a picture's name
_OVER_TIME = {"seconds": 8, "track": 5}
_WIDTHS = {"face": 4, "left": 4, "top": 4, "right": 5, "bottom": 6, "detection": 9, "expression": 10, "confidence": 10}


class TerminalTable:
    """Prints predictions as lines below one heading.

    names:  of all sources, for the width of the first column.
    moving: whether there are columns for the time and the track.
    """

    def __init__(self, names: Iterable[str], *, moving: bool = False) -> None:
        self._widths = (_OVER_TIME if moving else {}) | _WIDTHS
        others = sum(2 + width for width in self._widths.values())
        longest = max(map(cell_len, names), default=0)
        self._name = max(_SHORTEST, min(longest, _LONGEST, stdout.width - others))
        self._room = stdout.width - self._name - others
        self._probs: tuple[str, ...] = ()  # the columns of all probabilities, where they fit
        self._begun = False

    def add(self, prediction: Prediction) -> None:
        """Print a line for each face, or one that says that there is none."""
        if not self._begun:
            self._begun = True
            names = prediction.scores.class_names
            self._probs = names if sum(2 + _width(name) for name in names) <= self._room else ()
            self._print(self._heading())
        rows = prediction.rows()
        for row in rows:
            self._print(self._line(row))
        if not rows:
            time = "" if prediction.tracks is None else f"  {prediction.seconds:>{_OVER_TIME['seconds']}.2f}"
            self._print(Text(f"{self._short(prediction.source)}{time}  no face", style="dim"))

    def _heading(self) -> Text:
        fields = [
            f"{name:<{width}}" if name == "expression" else f"{name:>{width}}" for name, width in self._widths.items()
        ]
        fields += [f"{plain(name):>{_width(name)}}" for name in self._probs]
        return Text("  ".join([f"{'source':<{self._name}}", *fields]), style="bold")

    def _line(self, row: dict[str, str | int | float]) -> Text:
        places = [f"{row[name]:>{_WIDTHS[name]}.0f}" for name in ("face", "left", "top", "right", "bottom")]
        if len(self._widths) > len(_WIDTHS):
            over_time = (f"{row.get('seconds', 0):.2f}", str(row.get("track", "")))
            places[:0] = [f"{text:>{width}}" for text, width in zip(over_time, _OVER_TIME.values(), strict=True)]
        places.append(f"{row['detection']:>{_WIDTHS['detection']}.0%}")
        line = Text("  ".join([self._short(str(row["source"])), *places, ""]))
        name = str(row["expression"])
        red, green, blue = COLOURS.get(name, (160, 160, 160))
        line.append("\N{BLACK SQUARE} ", style=f"rgb({red},{green},{blue})")
        line.append(f"{plain(name):<{_WIDTHS['expression'] - 2}}", style="bold")
        line.append(f"  {row['confidence']:>{_WIDTHS['confidence']}.0%}")
        for name in self._probs:
            line.append(f"  {row[name]:>{_width(name)}.0%}", style="dim")
        return line

    def _short(self, source: str) -> str:
        """Fit a name into its column; keep the end of a long one, which tells pictures apart."""
        text = plain(source).replace("\n", " ").replace("\t", " ")
        if cell_len(text) > self._name:
            text = f"\N{HORIZONTAL ELLIPSIS}{text[1 - self._name :]}"
        return set_cell_size(text, self._name)

    def _print(self, line: Text) -> None:
        stdout.print(line, soft_wrap=True)


def _width(name: str) -> int:
    """Characters of the column of a probability."""
    return max(len(name), len("100%"))

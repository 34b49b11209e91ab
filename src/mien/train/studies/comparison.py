"""The table of a study: the results of each candidate over its seeds, beside the first; as text, CSV and a figure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import fmean, stdev

from mien.io.atomic_write import atomic_write, write_text
from mien.io.row_writers import csv_text
from mien.metrics import Proportion
from mien.train.studies.trials import Trial
from mien.visualize.figure import figure_png, make_figure


@dataclass(frozen=True)
class Row:
    """The results of a candidate. A figure is None where it is not known; a deviation needs two seeds.

    Parameters
    ----------
    recipe, about
        The candidate's name and a line about it.
    seeds, failed
        How many trials came to their end, and how many failed.
    best, best_sd
        Accuracy of the best epoch, in [0, 1]: mean and standard deviation over seeds.
    last, last_sd
        Accuracy of the last epoch.
    difference
        Of `last` to the first candidate's: the mean over the seeds that both have.
    minutes
        The mean time of a trial.
    """

    recipe: str
    about: str
    seeds: int
    failed: int
    best: float | None
    best_sd: float | None
    last: float | None
    last_sd: float | None
    difference: float | None
    minutes: float | None


class Comparison:
    """The trials of a study as they come in. abouts: a line about each candidate, in the order of the rows."""

    def __init__(self, abouts: Mapping[str, str], *, seeds: int, valid_faces: int) -> None:
        self.abouts, self.seeds, self.valid_faces = abouts, seeds, valid_faces
        self.trials: dict[tuple[str, int], Trial] = {}

    def add(self, trial: Trial) -> None:
        """Add a trial."""
        self.trials[trial.name, trial.seed] = trial

    def rows(self) -> list[Row]:
        """Return a row for each candidate; the first is what the others are compared with."""
        first = self._good(next(iter(self.abouts)))
        return [self._row(name, first) for name in self.abouts]

    def write(self, folder: Path) -> None:
        """Write table.md, table.csv and table.png, each whole or not at all. Raises OutputError."""
        rows = self.rows()
        write_text(folder / "table.md", self._markdown(rows))
        write_text(folder / "table.csv", csv_text([field.name for field in fields(Row)], map(asdict, rows)))
        self._draw(folder / "table.png", rows)

    def _good(self, name: str) -> dict[int, Trial]:
        """Return the trials of a candidate that came to their end, by seed."""
        return {seed: trial for (whose, seed), trial in self.trials.items() if whose == name and not trial.failure}

    def _row(self, name: str, first: Mapping[int, Trial]) -> Row:
        good = self._good(name)
        best, last = ([getattr(trial, what) for trial in good.values()] for what in ("best", "last"))
        differences = [trial.last - first[seed].last for seed, trial in good.items() if seed in first]
        return Row(
            recipe=name,
            about=self.abouts[name],
            seeds=len(good),
            failed=sum(bool(trial.failure) for trial in self.trials.values() if trial.name == name),
            best=fmean(best) if best else None,
            best_sd=stdev(best) if len(best) > 1 else None,
            last=fmean(last) if last else None,
            last_sd=stdev(last) if len(last) > 1 else None,
            difference=fmean(differences) if differences else None,
            minutes=fmean(trial.minutes for trial in good.values()) if good else None,
        )

    def _half_width(self, accuracy: float) -> float:
        """Return half the width of the 95% interval of an accuracy on so many valid faces."""
        low, high = Proportion(round(accuracy * self.valid_faces), self.valid_faces).interval
        return (high - low) / 2

    def _markdown(self, rows: list[Row]) -> str:
        lines = [
            "| recipe | seeds | last epoch, % | best epoch, % | difference, points | minutes | what it is about |",
            "|---|---|---|---|---|---|---|",
        ]
        for row in rows:
            seeds = f"{row.seeds} of {self.seeds}" + (f", {row.failed} failed" if row.failed else "")
            difference = "" if row.difference is None or row is rows[0] else f"{100 * row.difference:+.2f}"
            minutes = "" if row.minutes is None else f"{row.minutes:.1f}"
            last, best = _spread(row.last, row.last_sd), _spread(row.best, row.best_sd)
            cells = (row.recipe, seeds, last, best, difference, minutes, row.about)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines += ["", self._note(rows)]
        failures = [trial for trial in self.trials.values() if trial.failure]
        lines += [f"\n{trial.name}, seed {trial.seed}, failed: {trial.failure}" for trial in failures]
        return "\n".join(lines) + "\n"

    def _note(self, rows: list[Row]) -> str:
        known = [row.last for row in rows if row.last is not None]
        half = f"{100 * self._half_width(fmean(known)):.1f}" if known else "?"
        return (
            f"Accuracy on the {self.valid_faces:,} valid faces: mean ± standard deviation over seeds. The best epoch is"
            " chosen on the same faces, so that its figure is a little high. The difference is the last epoch's, to"
            f" {rows[0].recipe} with the same seeds. The choice of valid faces alone leaves each accuracy ±{half}"
            " points (95%), and differences, since the faces are the same, somewhat less."
        )

    def _draw(self, path: Path, rows: list[Row]) -> None:
        figure = make_figure(figsize=(8, 1.4 + 0.3 * len(rows)), layout="constrained")
        axes = figure.subplots()
        for place, row in enumerate(rows):
            if row.last is None:
                continue
            lasts = [100 * trial.last for trial in self._good(row.recipe).values()]
            axes.plot(lasts, [place] * len(lasts), "o", color="tab:blue", alpha=0.4, markersize=4, linewidth=0)
            axes.errorbar(100 * row.last, place, xerr=100 * (row.last_sd or 0), fmt="|", color="tab:blue", capsize=3)
        if rows[0].last is not None:
            centre, half = 100 * rows[0].last, 100 * self._half_width(rows[0].last)
            axes.axvspan(centre - half, centre + half, color="tab:orange", alpha=0.15, linewidth=0)
            axes.axvline(centre, color="tab:orange", linewidth=1)
        axes.set_yticks(range(len(rows)), [f"{row.recipe} (failed)" if row.failed else row.recipe for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlabel(f"accuracy of the last epoch on {self.valid_faces:,} valid faces, %")
        axes.set_title(
            "Dots: seeds. Bars: their mean and standard deviation.\n"
            f"Band: {rows[0].recipe}, and the 95% interval that the choice of faces leaves it.",
            fontsize=9,
            loc="left",
        )
        axes.grid(axis="x", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        with atomic_write(path) as file:
            file.write(figure_png(figure))


def _spread(mean: float | None, deviation: float | None) -> str:
    if mean is None:
        return ""
    return f"{100 * mean:.2f}" + ("" if deviation is None else f" ± {100 * deviation:.2f}")

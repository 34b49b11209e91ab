"""The tables and sentences that `mien evaluate` prints."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from mien import metrics
from mien.cli.console import add_row, table
from mien.evaluation.ferplus import FerPlusReport
from mien.evaluation.paired import PairedComparison
from mien.evaluation.report import Report
from mien.evaluation.slices import ALIKE, PERHAPS_BETTER, PERHAPS_WORSE, TOO_FEW, Group, SliceReport
from mien.metrics import Proportion

_LONGEST_NAME = 22  # characters of a group
_NAMED = 5  # groups that are worse
# Verdicts in the table, which must fit into 80 columns, as must the names.
_SHORT = {ALIKE: "", TOO_FEW: "too few", PERHAPS_WORSE: "worse?", PERHAPS_BETTER: "better?"}


def questions_table(report: Report, people: FerPlusReport) -> Table:
    """Return how good a model is at both questions, side by side: what people name, and FER2013's labels."""
    shown = table("", "what people name", "FER2013's labels")
    sides = (people.accuracy, report.accuracy)
    add_row(shown, ["faces", *(f"{side.count:,}" for side in sides)])
    add_row(shown, ["accuracy", *(f"{side.value:.2%} {_interval(side)}" for side in sides)])
    add_row(shown, ["mean recall", f"{people.mean_recall:.3f}", f"{report.balanced_accuracy:.3f}"])
    add_row(shown, ["ECE", f"{people.ece:.3f}", f"{report.ece:.3f}"])
    return shown


def summary_table(report: Report) -> Table:
    """Return the figures of the whole, with what they mean."""
    shown = table("", "", "")
    shown.show_header = False
    shown.columns[2].justify, shown.columns[2].no_wrap = "left", False
    proportions = (
        ("accuracy", report.accuracy, ""),
        ("  without twins", report.without_identical, "with no twin in training"),
        ("  nor near twins", report.without_near, "with no near twin there"),
        ("  in the first two", report.top2, ""),
    )
    for name, proportion, which in proportions:
        if proportion is not None:
            _add_proportion(shown, name, proportion, which)
    shown.add_row("balanced accuracy", f"{report.balanced_accuracy:.3f}", "mean recall of the expressions")
    shown.add_row("macro F1", f"{report.macro_f1:.3f}", "mean over expressions")
    shown.add_row("ECE", f"{report.ece:.3f}", "how far confidence is from accuracy; 0 is best")
    shown.add_row("Brier score", f"{report.brier:.3f}", "0 to 2; lower is better")
    shown.add_row("NLL", f"{report.nll:.3f}", "nats; lower is better")
    if report.ferplus is not None:
        _add_ferplus(shown, report.ferplus)
    return shown


def _add_proportion(shown: Table, name: str, proportion: Proportion, which: str) -> None:
    of = f"of {proportion.count:,} {which}" if which else ""
    shown.add_row(name, f"{proportion.value:.2%}", f"{_interval(proportion)} {of}")


def _add_ferplus(shown: Table, ferplus: FerPlusReport) -> None:
    _add_proportion(shown, "as people say", ferplus.accuracy, "with a clear FER+ vote")
    if ferplus.sure is not None:
        _add_proportion(shown, "  where they agree", ferplus.sure, "with 8 of 10 votes")
    shown.add_row("  mean recall", f"{ferplus.mean_recall:.3f}", "of the expressions, by the votes")
    shown.add_row("  ECE", f"{ferplus.ece:.3f}", "of confidence, by the votes")
    shown.add_row("  KL", f"{ferplus.kl:.3f}", "nats from the votes; lower is better")
    shown.add_row("  one annotator", f"{ferplus.annotator:.1%}", "a person, for comparison")
    shown.add_row("  ten new annotators", f"{ferplus.new_panel:.1%}", "as good as votes can be told")


def _interval(proportion: Proportion) -> str:
    low, high = proportion.interval
    return f"({low:.1%} to {high:.1%})"


def expressions_table(report: Report) -> Table:
    """Return the figures of each expression, by the labels."""
    shown = table("expression", "faces", "precision", "recall", "F1", "ECE")
    rows = zip(_expression_rows(report.class_names, report.confusion), report.classwise_ece.tolist(), strict=True)
    for row, ece in rows:
        add_row(shown, [*row, f"{ece:.3f}"])
    return shown


def named_expressions_table(class_names: Sequence[str], confusion: NDArray[np.int64]) -> Table:
    """Return the figures of each expression that people name: (K, K), what most name and what the model says."""
    shown = table("people name", "faces", "precision", "recall", "F1")
    for row in _expression_rows(class_names, confusion):
        add_row(shown, row)
    return shown


def _expression_rows(class_names: Sequence[str], confusion: NDArray[np.int64]) -> list[list[str]]:
    """Return the name, faces, precision, recall and F1 of each class; "-" where no face gives one."""
    faces, answers = confusion.sum(axis=1), confusion.sum(axis=0)
    columns = (
        (metrics.precision(confusion), answers),
        (metrics.recall(confusion), faces),
        (metrics.f1(confusion), faces + answers),
    )
    shown = [
        [f"{value:.3f}" if count else "-" for value, count in zip(values, counts, strict=True)]
        for values, counts in columns
    ]
    return [[name, f"{count:,}", *figures] for name, count, *figures in zip(class_names, faces, *shown, strict=True)]


def comparison_text(model: str, other: str, paired: PairedComparison, *, truth: str) -> str:
    """Say which of two models is better, by the labels or by the votes."""
    low, high = (100 * end for end in paired.interval)
    told_apart = "differ" if paired.p_value < 0.05 else "are not told apart by these faces"
    judged = "by people's votes, " if truth == "votes" else ""
    return (
        f"{judged}{model} and {other} {told_apart}: {paired.first.value:.2%} and {paired.second.value:.2%},"
        f" {100 * paired.difference:+.2f} points ({low:+.2f} to {high:+.2f}); only one of them is right on"
        f" {paired.only_first:,} and {paired.only_second:,} faces; exact McNemar p = {paired.p_value:.2g}\n"
    )


def confusion_table(class_names: Sequence[str], confusion: NDArray[np.int64]) -> Table:
    """Return the counts of each true class, by answer: (K, K) int64."""
    shown = table("is, taken for:", *class_names)
    for place, (name, row) in enumerate(zip(class_names, confusion.tolist(), strict=True)):
        add_row(shown, [name, *(f"{count:,}" for count in row)], bold=place + 1)
    return shown


def slices_table(slices: SliceReport) -> Table:
    """Return the accuracy on each group and its gap to the rest in points, both with 95% intervals."""
    shown = table("slices", "faces", "accuracy", "gap in points", "")
    shown.columns[-1].justify = "left"
    before = ""
    for group in slices.groups:
        if group.slice != before:
            add_row(shown, (_shortened(group.slice), "", "", "", ""), bold=0)
        before = group.slice
        low, high = (f"{100 * end:.0f}" for end in group.accuracy.interval)
        gap = f"{100 * group.gap:+.1f} ({100 * group.interval[0]:+.0f} to {100 * group.interval[1]:+.0f})"
        accuracy = f"{group.accuracy.value:.1%} ({low} to {high})"
        verdict = _SHORT.get(group.verdict, group.verdict)
        cells = (f"  {_shortened(group.name)}", f"{group.accuracy.count:,}", accuracy, gap, verdict)
        add_row(shown, cells, bold=4)
    return shown


def worst_text(slices: SliceReport) -> str:
    """Name the groups on which the model is worse than on the rest."""
    lines = [
        f"Groups are judged by {'people' if slices.truth == 'votes' else 'the labels'}.",
        "A group is better or worse than the rest where chance is ruled out for all",
        "groups at once; with a question mark, where it is for that group alone.",
    ]
    small = sum(group.verdict == TOO_FEW for group in slices.groups)
    if small:
        have = "has" if small == 1 else "have"
        lines.append(f"{small} of {len(slices.groups)} {have} too few faces: a gap of ten points could hide there.")
    if not slices.worst:
        lines.append("None is worse than the rest beyond chance.")
    for title, groups in (("Worse than the rest:", slices.worst), ("Perhaps worse:", slices.perhaps_worse)):
        if groups:
            more = [f"  and {len(groups) - _NAMED} more"] if len(groups) > _NAMED else []
            lines += [title, *map(_told, groups[:_NAMED]), *more]
    return "\n".join(lines) + "\n"


def _told(group: Group) -> str:
    return f"  {group.slice}, {group.name} ({100 * group.gap:+.1f} points)"


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}\N{HORIZONTAL ELLIPSIS}"

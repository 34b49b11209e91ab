"""The tables of the page: the first figures in large print, the groups of faces, and all figures with their meaning."""

from collections.abc import Sequence

import numpy as np

from mien.evaluation.page.answers import Answers
from mien.evaluation.page.charts import SERIES, gap_mark
from mien.evaluation.report import Report
from mien.evaluation.slices import ALIKE, TOO_FEW, WORSE, Group, SliceReport
from mien.io.html import Markup, element
from mien.metrics import Proportion, top_k_accuracy

_NAMED = 5  # of the worst groups
_REACH = 0.25  # the largest gap that is drawn to scale


def tiles(answers: Sequence[Answers], reports: Sequence[Report]) -> Markup:
    """Return the figures that matter most, in large print."""
    first, report = answers[0], reports[0]
    shown = [
        _tile("right", [f"{each.accuracy.value:.1%}" for each in answers], _interval_told(first.accuracy)),
        _tile(
            "mean recall",
            [f"{_mean_recall(each):.1%}" for each in answers],
            "the mean over the expressions: rare ones count as much as common ones",
        ),
        _tile("right in the first two", [f"{_top2(each).value:.1%}" for each in answers], "of its expressions"),
        _tile(
            "calibration error",
            [f"{each.ece:.3f}" for each in answers],
            "how far confidence is from accuracy; 0 is best",
        ),
    ]
    fresh = [_fresh(each) for each in reports]
    if fresh[0] is not None:
        values = [f"{each.value:.1%}" for each in fresh if each is not None]
        note = f"on the {fresh[0].count:,} faces that have no twin in training"
        shown.insert(1, _tile("right on new faces", values, note))
    if report.ferplus is not None and report.slices is not None and report.slices.truth == "votes":
        people = f"{report.ferplus.annotator:.1%}"
        note = f"of single annotators say what most say; ten new ones would on {report.ferplus.new_panel:.1%}"
        shown.append(_tile("people themselves", [people], note))
    return element("section", shown, class_="tiles", aria_label="The first figures")


def _tile(name: str, values: Sequence[str], note: str) -> Markup:
    numbers = [
        element("b", value, class_=colour if len(values) > 1 else None)
        for value, colour in zip(values, SERIES, strict=False)
    ]
    return element(
        "div", element("h2", name), element("p", numbers, class_="values"), element("p", note, class_="soft")
    )


def _interval_told(proportion: Proportion) -> str:
    low, high = proportion.interval
    return f"of {proportion.count:,}; 95% interval {low:.1%} to {high:.1%}"


def _mean_recall(answers: Answers) -> float:
    return float(np.mean([each.value for each in answers.recalls if each is not None]))


def _top2(answers: Answers) -> Proportion:
    return top_k_accuracy(answers.labels, answers.probs, 2)


def _fresh(report: Report) -> Proportion | None:
    """Return the accuracy on faces without any twin in training."""
    groups = () if report.slices is None else report.slices.groups
    return next((each.accuracy for each in groups if each.slice == "twin in training" and each.name == "none"), None)


def slices_section(slices: SliceReport, *, of: str = "") -> Markup:
    """Return the groups of faces with their accuracy and its gap to the rest. `of` names the model, if need be."""
    reach = min(_REACH, max(abs(end) for group in slices.groups for end in group.interval)) or _REACH
    names = dict.fromkeys(group.slice for group in slices.groups)
    tables = (_slice_table(name, [each for each in slices.groups if each.slice == name], reach) for name in names)
    return element(
        "section",
        element("h2", f"For whom is {of or 'it'} worse?"),
        element("p", worst_told(slices), class_="told lead"),
        element("div", tables, class_="slices"),
        element("p", _CAREFUL, class_="told"),
        class_="wide card",
    )


def _slice_table(name: str, groups: Sequence[Group], reach: float) -> Markup:
    heads = [element("th", head, scope="col") for head in ("", "faces", "right", "gap", "")]
    rows = [_group_row(group, reach) for group in groups]
    return element("table", element("caption", name), element("thead", element("tr", heads)), element("tbody", rows))


_CAREFUL = (
    "The gap says how many points a group lies above or below the other groups of its kind; small numbers are 95% "
    "intervals. A group is called worse or better only where chance is ruled out for all groups together, and "
    "perhaps worse or better where it is ruled out for that group alone. Where it "
    "says too few faces, in the group or beside it, a gap of ten points could hide. A gap does not say what causes it: "
    "dark pictures may also show other expressions."
)


def worst_told(slices: SliceReport) -> str:
    """Name the groups on which the model is worse, in a sentence."""
    small = sum(group.verdict == TOO_FEW for group in slices.groups)
    few = (
        f" {small} of {len(slices.groups)} groups {'has' if small == 1 else 'have'} too few faces to say."
        if small
        else ""
    )
    perhaps = f" Perhaps worse: {_named(slices.perhaps_worse)}." if slices.perhaps_worse else ""
    if not slices.worst:
        return f"No group is worse than the rest beyond chance.{perhaps}{few}"
    return f"Worse than the rest: {_named(slices.worst)}.{perhaps}{few}"


def _named(groups: Sequence[Group]) -> str:
    named = [f"{each.slice}, {each.name} ({100 * each.gap:+.0f} points)" for each in groups[:_NAMED]]
    more = f"; and {len(groups) - _NAMED} more" if len(groups) > _NAMED else ""
    return f"{'; '.join(named)}{more}"


def _group_row(group: Group, reach: float) -> Markup:
    low, high = group.accuracy.interval
    less, more = group.interval
    word = Markup("") if group.verdict == ALIKE else element("span", group.verdict, class_=f"tag {group.verdict[:3]}")
    mark = gap_mark(group.gap, group.interval, reach=reach, worse=group.verdict == WORSE)
    cells = [
        element("td", f"{group.accuracy.count:,}"),
        element("td", f"{group.accuracy.value:.1%}", _soft(f"{100 * low:.0f} to {100 * high:.0f}")),
        element("td", f"{100 * group.gap:+.1f}", _soft(f"{100 * less:+.0f} to {100 * more:+.0f}")),
        element("td", mark, word, class_="last"),
    ]
    return element("tr", element("th", group.name, scope="row"), cells)


def _soft(text: str) -> Markup:
    return element("small", text)


def figures_section(reports: Sequence[Report]) -> Markup:
    """Return all figures of the reports, with what they mean."""
    rows = [
        element(
            "tr", element("th", name, scope="row"), [element("td", value) for value in values], element("td", meaning)
        )
        for name, values, meaning in _figure_rows(reports)
    ]
    heads = [element("th", name, scope="col") for name in ("", *(report.model for report in reports), "meaning")]
    table = element("table", element("thead", element("tr", heads)), element("tbody", rows), class_="all")
    scroller = element("div", table, class_="scroll", tabindex="0", role="region", aria_label="all figures")
    return element("section", element("h2", "All figures"), scroller, class_="wide card")


def _figure_rows(reports: Sequence[Report]) -> list[tuple[str, list[str], str]]:
    rows = [
        ("accuracy", [_percent(each.accuracy) for each in reports], "by the faces' own labels, with its 95% interval"),
        ("without twins", [_percent(each.without_identical) for each in reports], "with no identical one in training"),
        ("nor near twins", [_percent(each.without_near) for each in reports], "nor a near-identical one"),
        ("in the first two", [_percent(each.top2) for each in reports], "the label is one of the two most probable"),
        ("balanced accuracy", [f"{each.balanced_accuracy:.3f}" for each in reports], "mean recall of the expressions"),
        (
            "macro F1",
            [f"{each.macro_f1:.3f}" for each in reports],
            "of precision and recall; mean over expressions",
        ),
        ("ECE", [f"{each.ece:.3f}" for each in reports], "distance of confidence from accuracy, by the labels"),
        ("Brier score", [f"{each.brier:.3f}" for each in reports], "0 to 2; lower is better"),
        ("NLL", [f"{each.nll:.3f}" for each in reports], "nats; lower is better"),
    ]
    people = [each.ferplus for each in reports]
    if (first := people[0]) is not None:
        voted = [each for each in people if each is not None]
        rows += [
            ("as people say", [_percent(each.accuracy) for each in voted], "on faces with a clear FER+ vote"),
            ("where they agree", [_percent(each.sure) for each in voted], "8 of 10 votes or more for one expression"),
            ("mean recall by votes", [f"{each.mean_recall:.3f}" for each in voted], "the mean over the expressions"),
            (
                "ECE by votes",
                [f"{each.ece:.3f}" for each in voted],
                "distance of confidence from accuracy, by the votes",
            ),
            ("KL", [f"{each.kl:.3f}" for each in voted], "nats from the votes; lower is better"),
            ("one annotator", [f"{first.annotator:.1%}"] * len(voted), "a person, for comparison"),
            ("ten new annotators", [f"{first.new_panel:.1%}"] * len(voted), "as good as votes can be told"),
        ]
    return [row for row in rows if row[1][0]]


def _percent(proportion: Proportion | None) -> str:
    if proportion is None:
        return ""
    low, high = proportion.interval
    return f"{proportion.value:.2%} ({low:.1%} to {high:.1%})"

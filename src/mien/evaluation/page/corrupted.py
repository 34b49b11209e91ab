"""The part of the page that says how robust a model is: its accuracy for each corruption and severity."""

import numpy as np

from mien.evaluation.corruptions import SEVERITIES
from mien.evaluation.robustness import CorruptionError, Robustness
from mien.io.html import Markup, element

_TRUTHS = {"votes": "what most annotators named", "labels": "the labels"}
_WORST = 3  # corruptions that a sentence names


def corrupted_section(robust: Robustness | CorruptionError) -> Markup:
    """Return a table of the accuracy on corrupted faces, in percent, and what it says in sentences.

    Where two models are compared, a last column has the errors of the first as shares of those of the second.
    """
    compared = robust if isinstance(robust, CorruptionError) else None
    measured = robust.first if isinstance(robust, CorruptionError) else robust
    means = measured.accuracy.mean(axis=1)
    errors = None if compared is None else compared.each
    rows = []
    for place in np.argsort(means, kind="stable").tolist():
        name, each = measured.corruptions[place].replace("_", " "), measured.accuracy[place].tolist()
        cells = [_cell(share, f"{name}, severity {number + 1}") for number, share in enumerate(each)]
        cells.append(_cell(float(means[place]), f"{name}, mean"))
        if errors is not None:
            cells.append(element("td", "-" if np.isnan(errors[place]) else f"{errors[place]:.2f}", style="--share:0"))
        rows.append(element("tr", element("th", name, scope="row"), cells))
    columns = [*map(str, range(1, SEVERITIES + 1)), "mean", *["CE"] * (errors is not None)]
    heads = [element("th", name, scope="col", style="text-align:center") for name in columns]
    corner = element("td", "severity", class_="corner")
    head = element("thead", element("tr", corner, heads))
    caption = element("caption", "Accuracy in percent for each corruption and severity", class_="hidden")
    table = element("table", caption, head, element("tbody", rows))
    scroller = element("div", table, class_="matrix scroll", tabindex="0", role="region", aria_label="corruptions")
    told = element("p", _told(measured), class_="told lead")
    more = element("p", _beside(compared) if compared else _CAREFUL, class_="told")
    return element("section", element("h2", "How robust is it?"), told, scroller, more, class_="wide card")


_CAREFUL = (
    "Severity 1 is mild and 5 is strong. The corruptions are drawn by mien, so they show where a model is weak, and "
    "not how often that happens in your pictures."
)


def _cell(share: float, told: str) -> Markup:
    return element("td", f"{100 * share:.0f}", title=f"{told}: {share:.1%}", style=f"--share:{share:.3f}")


def _told(measured: Robustness) -> str:
    low, high = measured.interval
    lost = measured.clean_accuracy.value - measured.accuracy.mean(axis=1)
    worst = np.argsort(-lost, kind="stable")[:_WORST].tolist()
    named = ", ".join(
        f"{measured.corruptions[row].replace('_', ' ')} ({-100 * lost[row]:+.0f} points)" for row in worst
    )
    return (
        f"On {measured.count:,} faces {measured.model} is right on {measured.clean_accuracy.value:.1%} as they are, "
        f"and on {measured.mean_accuracy:.1%} ({low:.1%} to {high:.1%}) over all corruptions, judged by "
        f"{_TRUTHS[measured.truth]}. What harms it most: {named}."
    )


def _beside(compared: CorruptionError) -> str:
    low, high = compared.interval
    other = compared.second
    told = f"{other.model} is right on {other.mean_accuracy:.1%} over all corruptions."
    if not compared.exists:
        return f"{told} It makes no error, so there is no CE beside it. {_CAREFUL}"
    return (
        f"{told} CE is the error of {compared.first.model} as a share of that of {other.model}, where that one makes "
        f"any; its mean is {compared.mean:.2f} ({low:.2f} to {high:.2f}). {_CAREFUL}"
    )

"""The figures of the page: each a title, a chart or a table, and a sentence that says what it shows here."""

from collections.abc import Sequence

import numpy as np

from mien.evaluation.ferplus import FerPlusReport
from mien.evaluation.page.answers import Answers
from mien.evaluation.page.charts import SERIES, Axes, Bar, Curve, bar_chart, curve_chart
from mien.io.html import Markup, element, join
from mien.metrics import Proportion, accuracy
from mien.types import FaceSet

_MOST_BESIDE = 9  # classes of a matrix that stands beside other figures
_FEWEST = 20  # answers, from which a curve of their errors means something


def figure(title: str, body: str, *sentences: str, wide: bool = False) -> Markup:
    """Return a figure under its title, with sentences below."""
    caption = element("figcaption", " ".join(sentences))
    return element("figure", element("h2", title), body, caption, class_="wide" if wide else None)


def legend(answers: Sequence[Answers]) -> Markup:
    """Name the models beside their colours, where there are two."""
    if len(answers) < 2:
        return Markup("")
    items = (
        element("li", element("span", class_=f"chip {colour}"), each.model)
        for each, colour in zip(answers, SERIES, strict=False)
    )
    return element("ul", items, class_="legend")


def confusion_figure(answers: Answers, *, of: str = "") -> Markup:
    """Show what was taken for what, in percent of each row."""
    names = answers.class_names
    rows = []
    for name, counts, place in zip(names, answers.confusion.tolist(), range(len(names)), strict=True):
        total = sum(counts)
        cells = [_cell(name, names[column], count, total, column == place) for column, count in enumerate(counts)]
        rows.append(element("tr", element("th", name, scope="row"), cells))
    heads = [element("th", element("span", name), scope="col") for name in names]
    words = (element("span", "called \N{RIGHTWARDS ARROW}"), element("span", "is \N{DOWNWARDS ARROW}"))
    corner = element("td", words, class_="corner")
    caption = element("caption", f"How often faces of each expression{of} were called each expression", class_="hidden")
    shown = element("table", caption, element("thead", element("tr", corner, heads)), element("tbody", rows))
    scroller = element("div", shown, class_="matrix scroll", tabindex="0", role="region", aria_label="confusion matrix")
    told = (_read_a_row(answers), _most_confused(answers))
    return figure(f"What is taken for what{of}", scroller, *told, wide=len(names) > _MOST_BESIDE)


def _cell(name: str, called: str, count: int, total: int, right: bool) -> Markup:
    share = count / total if total else 0.0
    told = f"{count:,} of {total:,} faces that are {name} were called {called}"
    shade = f"--share:{share:.3f}"
    return element(
        "td", f"{100 * share:.0f}" if count else "", title=told, style=shade, class_="right" if right else None
    )


def _read_a_row(answers: Answers) -> str:
    row = int(answers.confusion.sum(axis=1).argmax())
    counts = answers.confusion[row]
    own, name = counts[row] / counts.sum(), answers.class_names[row]
    return (
        f"Read it row by row: of 100 faces that are {name}, {100 * own:.0f} are called {name}, and the other numbers "
        "of that row say what the rest are called. A perfect model has 100 in each framed cell."
    )


def _most_confused(answers: Answers) -> str:
    wrong = answers.confusion.copy()
    np.fill_diagonal(wrong, 0)
    if not wrong.any():
        return "There is no mistake here."
    row, column = np.unravel_index(int(wrong.argmax()), wrong.shape)
    names = answers.class_names
    return f"The most frequent mistake: {wrong[row, column]:,} faces that are {names[row]} are called {names[column]}."


def reliability_figure(answers: Sequence[Answers]) -> Markup:
    """Show whether confidence is accuracy."""
    curves = []
    for each in answers:
        there = each.reliability.counts > 0
        points = zip(
            each.reliability.confidence[there].tolist(), each.reliability.accuracy[there].tolist(), strict=True
        )
        share = each.reliability.counts[there] / each.reliability.counts.sum()
        curves.append(Curve(list(points), (2 + 12 * np.sqrt(share)).tolist()))
    told = " ".join(_confidence_told(each, named=len(answers) > 1) for each in answers)
    chart = curve_chart(curves, Axes("how sure it says it is", "how often it is right"), says=told, diagonal=True)
    return figure(
        "Can its confidence be believed?",
        join([legend(answers), chart]),
        "Answers are sorted by how sure the model says it is; a large dot stands for many answers. On the dotted line "
        "it is right as often as it says; below the line it is too sure of itself.",
        told,
    )


def _confidence_told(answers: Answers, *, named: bool) -> str:
    sure, right = float(answers.confidence.mean()), answers.accuracy.value
    points = 100 * (sure - right)
    judged = "about as sure as it should be" if abs(points) < 2 else "too sure" if points > 0 else "too modest"
    who = answers.model if named else "The model"
    return (
        f"{who} says {sure:.1%} on average and is right on {right:.1%}: {judged}. Calibration error: {answers.ece:.3f}."
    )


def risk_figure(answers: Sequence[Answers]) -> Markup:
    """Show how the errors fall where doubtful answers are left out."""
    curves, highest = [], 0.0
    for each in answers:
        count = len(each.labels)
        first = min(_FEWEST, count) - 1
        places = np.unique(np.linspace(first, count - 1, 150).astype(int))
        errors = each.risk.risk[places]
        highest = max(highest, float(errors.max()))
        curves.append(Curve(list(zip(each.risk.coverage[places].tolist(), errors.tolist(), strict=True))))
    told = " ".join(_risk_told(each, named=len(answers) > 1) for each in answers)
    top = next(top for top in (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0) if highest <= top)
    chart = curve_chart(curves, Axes("share of the faces that it answers", "of these, wrong", top), says=told)
    return figure(
        "What if it only answers when it is sure?",
        join([legend(answers), chart]),
        "At the right it answers for every face. Further to the left it leaves out more of the answers that it is "
        "least sure of. The lower the curve, the better it knows when it may be wrong.",
        told,
    )


def _risk_told(answers: Answers, *, named: bool) -> str:
    who = f"{answers.model}: of" if named else "Of"
    return (
        f"{who} all answers {answers.error_at(1):.1%} are wrong, of the surest half {answers.error_at(0.5):.1%}, "
        f"of the surest fifth {answers.error_at(0.2):.1%}."
    )


def recall_figure(answers: Sequence[Answers]) -> Markup:
    """Show how many faces of each expression are found."""
    first = answers[0]
    known = [(found.value, name) for found, name in zip(first.recalls, first.class_names, strict=True) if found]
    mean = np.mean([value for value, _ in known])
    told = f"{_best_and_worst(known, 'found', answers)} Their mean is {mean:.1%}."
    chart = bar_chart(first.class_names, [[Bar.of(found) for found in each.recalls] for each in answers], says=told)
    return figure(
        "How many faces of each expression does it find?",
        join([legend(answers), chart]),
        "Of all faces that are sad, say, this share is called sad (recall). The thin lines are 95% intervals: a long "
        "one means few faces.",
        told,
    )


def precision_figure(answers: Sequence[Answers]) -> Markup:
    """Show how often each answer is right."""
    first = answers[0]
    known = [(held.value, name) for held, name in zip(first.precisions, first.class_names, strict=True) if held]
    told = _best_and_worst(known, "right", answers)
    chart = bar_chart(first.class_names, [[Bar.of(held) for held in each.precisions] for each in answers], says=told)
    return figure(
        "When it names an expression, is it right?",
        join([legend(answers), chart]),
        "Of all faces that it calls sad, say, this share is sad (precision).",
        told,
    )


def yardstick_figure(answers: Answers, faces: FaceSet, ferplus: FerPlusReport | None, *, truth: str) -> Markup:
    """Compare the accuracy with that of answers that know nothing, and with people's."""
    counts = np.bincount(answers.labels, minlength=len(answers.class_names))
    common = answers.class_names[int(counts.argmax())]
    always = Proportion(int(counts.max()), len(answers.labels))
    bars = {answers.model: Bar.of(answers.accuracy), f"always {common}": Bar.of(always)}
    told = f"Who always says {common} is right on {always.value:.0%}."
    if ferplus is not None and truth == "votes":
        bars |= {"one annotator": Bar(ferplus.annotator), "ten annotators": Bar(ferplus.new_panel)}
        told += (
            f" One of a face's own ten annotators says what most of them say on {ferplus.annotator:.0%}; ten new ones "
            f"would by their majority on {ferplus.new_panel:.0%}, and more than that cannot be known."
        )
    elif ferplus is not None:
        clear = faces.plurality >= 0
        people = accuracy(answers.labels[clear], faces.plurality[clear])
        bars["most of ten people"] = Bar.of(people)
        told += f" What most of ten people see is the label of {people.value:.0%}: labels are wrong, too."
    chart = bar_chart(list(bars), [list(bars.values())], says=told)
    return figure("Is that good?", chart, "The same faces, answered in other ways.", told)


def _best_and_worst(known: Sequence[tuple[float, str]], word: str, answers: Sequence[Answers]) -> str:
    (low, worst), (high, best) = min(known), max(known)
    of = f" by {answers[0].model}" if len(answers) > 1 else ""
    return f"Most often {word}{of}: {best} ({high:.0%}). Least often: {worst} ({low:.0%})."

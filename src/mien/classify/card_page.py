"""The card of a model as a page for people: what it is for, how good it is, and what it must not be used for."""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field

from mien.classify.abstain import MAX_ERRORS, coverage_name, threshold_name
from mien.classify.card import ModelCard
from mien.classify.card_words import FER2013_LICENCE, FER2013_LIMIT, LAW, LIMITS, NO_LICENCE, PURPOSES, USE, paragraphs
from mien.labels import SPLITS

_WIDTH = 100  # characters of a line of text
_MARKDOWN_WIDTH = 120

MEASURED = (
    ("accuracy", "accuracy, by the labels"),
    ("accuracy_without_twins", "by the labels, without identical twins in training"),
    ("accuracy_without_near_twins", "by the labels, without identical and near twins"),
    ("accuracy_mirrored", "by the labels, averaged over mirror images"),
    ("top2", "label among the first two answers"),
    ("balanced_accuracy", "mean recall, by the labels"),
    ("people_accuracy", "as people say (clear FER+ votes)"),
    ("people_sure_accuracy", "as people say, where 8 of 10 votes agree"),
    ("people_mean_recall", "mean recall, by the votes"),
)
CALIBRATION = (
    ("people_ece", "ECE, by people's answers"),
    ("people_confidence", "mean confidence on faces with a clear vote"),
    ("ece", "ECE, by the labels"),
    ("brier", "Brier score, by the labels"),
    ("nll", "NLL, by the labels, in nats"),
)
_NOT_KINDS = ("accuracy", "accuracy_low", "accuracy_high", "clean", "faces")  # of what was corrupted, but no corruption


@dataclass(frozen=True)
class Section:
    """A part of the page: its title, paragraphs, a table whose first row is its head, and a listing."""

    title: str
    paragraphs: tuple[str, ...] = ()
    table: list[list[str]] = field(default_factory=list)
    listing: str = ""


def card_facts(card: ModelCard, file_hash: str) -> dict[str, str]:
    """Return what stands above the sections, by name: the file, its input and its classes."""
    facts = {
        "model": card.name,
        "classes": ", ".join(card.class_names),
        "input": f"faces, {card.side}x{card.side} pixels, uint8",
        "parameters": f"{card.parameters:,}",
        "version": " ".join(filter(None, (card.version, card.commit))),
        "hash": file_hash,
        "trained": _training(card),
    }
    return {name: fact for name, fact in facts.items() if fact}


def card_sections(card: ModelCard) -> list[Section]:
    """Return the parts of a model's page. Whatever its card does not say is left out, or named as not measured."""
    fer2013 = "FER2013" in card.note
    return [
        Section("Intended use", paragraphs(PURPOSES.get(card.question, PURPOSES[""]), USE)),
        Section("Data", (*filter(None, (card.note,)), *_hashes(card))),
        *(section for split in SPLITS for section in _measured(card, split)),
        _calibration(card),
        _robustness(card),
        Section("Limits", paragraphs(LIMITS, FER2013_LIMIT) if fer2013 else paragraphs(LIMITS)),
        Section("Law", paragraphs(LAW)),
        Section("Licence", paragraphs(FER2013_LICENCE if fer2013 else NO_LICENCE)),
        Section("Recipe", listing=card.recipe) if card.recipe else Section("Recipe", ("Not known.",)),
    ]


def card_markdown(card: ModelCard, file_hash: str) -> str:
    """Return a model's page as Markdown; file_hash: SHA-256 of its file."""
    facts = card_facts(card, file_hash)
    lines = [f"# {card.name}", "", "| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in facts.items())]
    for section in card_sections(card):
        lines += ["", f"## {section.title}"]
        for paragraph in section.paragraphs:
            lines += ["", *textwrap.wrap(paragraph, _MARKDOWN_WIDTH, break_long_words=False, break_on_hyphens=False)]
        if section.table:
            head, *rows = section.table
            lines += ["", markdown_row(head), "|---" * len(head) + "|", *map(markdown_row, rows)]
        if section.listing:
            lines += ["", "```toml", section.listing.rstrip(), "```"]
    return "\n".join(lines) + "\n"


def card_text(card: ModelCard, file_hash: str, *, recipe: bool = True) -> str:
    """Return a model's page as text for a terminal.

    file_hash: SHA-256 of its file. recipe: whether the recipe is listed at the end.
    """
    facts = [[name, fact] for name, fact in card_facts(card, file_hash).items()]
    parts = ["\n".join(_aligned(facts))]
    for section in card_sections(card):
        if section.listing and not recipe:
            continue
        blocks = ["\n".join(textwrap.wrap(paragraph, _WIDTH)) for paragraph in section.paragraphs]
        if section.table:
            blocks.append("\n".join(_aligned(section.table)))
        if section.listing:
            blocks.append(section.listing.rstrip())
        parts.append("\n".join([section.title.upper(), "\n\n".join(blocks)]))
    return "\n\n".join(parts)


def _training(card: ModelCard) -> str:
    """Say how long it was trained."""
    epochs, minutes = card.scores.get("epochs"), card.scores.get("minutes")
    if epochs is None:
        return ""
    return f"{epochs:.0f} epochs" + ("" if minutes is None else f", {minutes:.0f} minutes")


def _hashes(card: ModelCard) -> Iterator[str]:
    """Say which faces it was trained and measured on."""
    if card.faces_hash:
        yield f"Trained on the train faces of the set with the hash `{card.faces_hash}`."
    if card.measured_on and card.measured_on != card.faces_hash:
        yield f"Measured on faces of the set with the hash `{card.measured_on}`."


def _measured(card: ModelCard, split: str) -> Iterator[Section]:
    """Make the tables of the figures of a split, if it was measured."""
    rows = [row for name, title in _own_first(card, MEASURED) if (row := _share_row(card, f"{split}_{name}", title))]
    if not rows:
        return
    faces = " and ".join(
        f"{card.scores[name]:,.0f} {what}"
        for name, what in ((f"{split}_faces", "labelled faces"), (f"{split}_people_faces", "with a clear vote"))
        if name in card.scores
    )
    yield Section(
        f"Figures on the {split} split", (f"Of {faces}.",) if faces else (), [["figure", "value", "95%"], *rows]
    )
    kinds = {"by labels": f"{split}_recall_", "by people": f"{split}_people_recall_"}
    there = {title: start for title, start in kinds.items() if any(name.startswith(start) for name in card.scores)}
    if there:
        rows = [
            [name, *(percent(card.scores.get(f"{start}{name}")) for start in there.values())]
            for name in card.class_names
        ]
        yield Section(f"Expressions found on the {split} split", ("Recall: how many of its faces are found.",), [
            ["expression", *there], *rows,
        ])  # fmt: skip


def _own_first(card: ModelCard, figures: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
    """Put the figures of the question that a model answers before those of the other question."""
    return sorted(figures, key=lambda each: each[0].startswith("people_") != (card.question == "ferplus"))


def _calibration(card: ModelCard) -> Section:
    rows = [
        [title, f"{card.scores[name]:.3f}"]
        for split in SPLITS
        for key, title in _own_first(card, CALIBRATION)
        if (name := f"{split}_{key}") in card.scores
    ]
    for error in MAX_ERRORS:
        if (least := card.scores.get(threshold_name(error))) is not None:
            kept = percent(card.scores.get(coverage_name(error)))
            rows.append([f"confidence from which at most {error:.0%} are wrong", f"{least:.3f}, {kept} of the answers"])
    what = f"The logits are divided by a temperature of {card.temperature:.4g}."
    others = ", ".join(name for name in card.priors if name != card.prior)
    if card.prior:
        what += f" The prior inside is `{card.prior}`; others: {others or 'none'}."
    return Section("Calibration", (what,), [["figure", "value"], *rows] if rows else [])


def _robustness(card: ModelCard) -> Section:
    """Make the table of corruptions, if they were measured."""
    start = "valid_corrupted_"
    kinds = {name.removeprefix(start): value for name, value in card.scores.items() if name.startswith(start)}
    if "accuracy" not in kinds:
        return Section("Robustness", ("Not measured; `mien evaluate --corrupt` does.",))
    accuracy, low, high, clean = (percent(kinds.get(name)) for name in _NOT_KINDS[:4])
    shown = sorted(((value, name) for name, value in kinds.items() if name not in _NOT_KINDS), reverse=True)
    rows = [[name.replace("_", " "), percent(value)] for value, name in shown]
    what = (
        f"On {kinds.get('faces', 0):,.0f} faces with {len(rows)} corruptions in five severities each, the accuracy is"
        f" {accuracy} ({low} to {high}); on the same faces as they are, {clean}. It is by the question that the model"
        " answers."
    )
    return Section("Robustness", (what,), [["corruption", "mean accuracy"], *rows])


def _share_row(card: ModelCard, name: str, title: str) -> list[str]:
    """Make the row of a share that was measured, with its interval where the card has it."""
    if name not in card.scores:
        return []
    low, high = (card.scores.get(f"{name}_{end}") for end in ("low", "high"))
    interval = "" if low is None or high is None else f"{100 * low:.1f} to {100 * high:.1f}"
    return [title, percent(card.scores[name]), interval]


def percent(value: float | None) -> str:
    """Return a share in percent; "-" where there is none."""
    return "-" if value is None else f"{value:.1%}"


def markdown_row(cells: list[str]) -> str:
    """Return a row of a table in Markdown."""
    return f"| {' | '.join(cell.strip() for cell in cells)} |"


def _aligned(rows: list[list[str]]) -> list[str]:
    """Return the rows of a table, the columns padded to one width each."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]

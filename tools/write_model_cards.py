"""Write the pages of docs/models from the cards in the model files that ship, and of the report's net.

    python tools/write_model_cards.py                                # the pages alone
    python tools/write_model_cards.py --measure faces.npz            # measures the models first
    python tools/write_model_cards.py --measure faces.npz swift-nano resnet34.onnx
    python tools/write_model_cards.py --measure faces.npz --report final-18.onnx

With --measure, all figures are measured anew, robustness included, and written into the files' cards. That takes some
minutes for each of the larger models, ten for the report's net; --corrupt-faces 200 makes it shorter. The graphs and
weights stay as they are. The report's net does not ship: --report keeps the card of its file in docs/training/report,
from which its page and its column of the comparison are written. A test compares the pages with what this would write.
"""

import argparse
import json
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import onnx

from mien.classify.abstain import without_thresholds
from mien.classify.card import ModelCard
from mien.classify.card_page import CALIBRATION, MEASURED, card_markdown, markdown_row, percent
from mien.classify.onnx import OnnxClassifier
from mien.data.formats.npz import load_faces
from mien.evaluation.card_figures import card_figures
from mien.evaluation.robustness import SAMPLE
from mien.io.atomic_write import atomic_write, write_text
from mien.train.onnx_export.onnx_graph import model_bytes
from mien.types import FaceSet

ROOT = Path(__file__).parents[1]
ASSETS, PAGES = ROOT / "src" / "mien" / "assets", ROOT / "docs" / "models"
REPORT_CARD = ROOT / "docs" / "training" / "report" / "card.json"
REPORT_PAGE, COMPARISON_PAGE = "report-resnet18.md", "comparison.md"
_FOOT = "\nThis page is written from {} by `python tools/write_model_cards.py`.\n"
_OLD = ("valid_votes_agreed",)  # figures of earlier versions, which others have replaced
_QUESTIONS = {"ferplus": "what people would name", "fer2013": "FER2013's label", "": "not known"}
_BY = (("", "by FER2013's labels"), ("people_", "by what people name"))

Cell = Callable[[ModelCard], str]


def page(file: Path) -> str:
    """Return the page of a model file."""
    classifier = OnnxClassifier(file, threads=1)
    return card_markdown(classifier.card, classifier.hash) + _FOOT.format("the card in the model file")


def measure(file: Path, faces: FaceSet, *, sample: int = SAMPLE) -> ModelCard:
    """Measure a model file anew on the valid faces, some of them corrupted, and write the figures into its card."""
    classifier = OnnxClassifier(file)
    scores = without_thresholds(classifier.card.scores)
    kept = {name: value for name, value in scores.items() if name not in _OLD}
    figures = card_figures(classifier, faces, corrupt=True, sample=sample, progress=_show_progress)
    card = replace(classifier.card, scores=kept, measured_on=faces.hash).with_scores(**figures)
    if not card.question:  # an older file, of the only question that there was
        card = replace(card, question="fer2013")
    with atomic_write(file) as part:
        part.write(model_bytes(onnx.load(file), card))
    return card


def _show_progress(done: int, total: int) -> None:
    print(f"\r{done:,} of {total:,} corrupted faces", end="\n" if done == total else "", file=sys.stderr, flush=True)


def keep_report_card(file: Path, card_file: Path) -> None:
    """Keep the card of the report's model file, and the file's hash, as JSON."""
    classifier = OnnxClassifier(file, threads=1)
    content = {"hash": classifier.hash, **asdict(classifier.card)}
    write_text(card_file, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def shared_pages(card_file: Path) -> dict[str, str]:
    """Return the pages that are of no single file that ships: the report's net, and all beside one another.

    A card of the report's net without a hash is of an earlier run, whose net has no page.
    """
    cards = [OnnxClassifier(file, threads=1).card for file in shipped_files()]
    content = json.loads(card_file.read_text(encoding="utf-8"))
    file_hash = content.pop("hash", "")
    pages = {}
    if file_hash:
        card = ModelCard.from_json(json.dumps(content))
        pages[REPORT_PAGE] = card_markdown(card, file_hash) + _FOOT.format("`docs/training/report/card.json`")
        cards.append(card)
    links = {card.name: f"{card.name}.md" for card in cards}
    links |= {cards[-1].name: REPORT_PAGE} if file_hash else {}
    return pages | {COMPARISON_PAGE: comparison_markdown(cards, links) + _FOOT.format("the cards of these models")}


def shipped_files() -> list[Path]:
    """Return the model files that ship, by name."""
    return sorted(ASSETS.glob("swift*.onnx"), key=lambda file: file.stem)


def comparison_markdown(cards: Sequence[ModelCard], links: Mapping[str, str]) -> str:
    """Return a page that shows the figures of models on the valid split side by side, as Markdown.

    links: the address of each model's own page, by its name.
    """
    names = [f"[{card.name}]({links[card.name]})" if card.name in links else card.name for card in cards]
    told = textwrap.wrap(" ".join(_told(cards)), 120)
    lines = ["# The models side by side", "", *told, "", *_table("", names, _rows(cards), cards)]
    lines += ["", "Recall of each expression: how many of its faces are found.", ""]
    recalls: list[tuple[str, Cell]] = [
        (f"{name}, {title}", _share(f"valid_{by}recall_{name}")) for by, title in _BY for name in cards[0].class_names
    ]
    return "\n".join([*lines, *_table("expression", names, recalls, cards)]) + "\n"


def _told(cards: Sequence[ModelCard]) -> list[str]:
    """Say what the figures are of, and which model is right most often by each truth."""
    told = ["All figures are of the valid split, FER2013's PublicTest, with 95% intervals in brackets."]
    for by, title in _BY:
        key = f"valid_{by}accuracy"
        there = [card for card in cards if key in card.scores]
        if there:
            best = max(there, key=lambda card: card.scores[key])
            told.append(f"Right most often {title}: {best.name}, {_share(key)(best)}.")
    told += ["Compare a model by the question that it answers."]
    return told


def _rows(cards: Sequence[ModelCard]) -> list[tuple[str, Cell]]:
    rows: list[tuple[str, Cell]] = [
        ("answers", lambda card: _QUESTIONS.get(card.question, card.question)),
        ("parameters", lambda card: f"{card.parameters:,}"),
        ("labelled faces", _count("valid_faces")),
        ("faces with a clear vote", _count("valid_people_faces")),
        *((title, _share(f"valid_{name}")) for name, title in MEASURED),
        *((title, _plain(f"valid_{name}")) for name, title in CALIBRATION),
        ("over 17 corruptions, by its own question", _share("valid_corrupted_accuracy")),
        ("the same faces uncorrupted", _share("valid_corrupted_clean")),
    ]
    return [(title, cell) for title, cell in rows if any(cell(card) != "-" for card in cards)]


def _table(
    corner: str, names: Sequence[str], rows: Sequence[tuple[str, Cell]], cards: Sequence[ModelCard]
) -> list[str]:
    shown = [markdown_row([title, *(cell(card) for card in cards)]) for title, cell in rows]
    return [markdown_row([corner, *names]), "|---" * (1 + len(names)) + "|", *shown]


def _share(key: str) -> Cell:
    """Return what shows a share, with its interval where the card has it."""

    def cell(card: ModelCard) -> str:
        low, high = (card.scores.get(f"{key}_{end}") for end in ("low", "high"))
        interval = "" if low is None or high is None else f" ({100 * low:.1f} to {100 * high:.1f})"
        return f"{percent(card.scores.get(key))}{interval}"

    return cell


def _plain(key: str) -> Cell:
    return lambda card: f"{card.scores[key]:.3f}" if key in card.scores else "-"


def _count(key: str) -> Cell:
    return lambda card: f"{card.scores[key]:,.0f}" if key in card.scores else "-"


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="models that ship, or files; all that ship, if nothing is named")
    parser.add_argument("--measure", type=Path, metavar="FACES", help="a file of faces to measure the models on first")
    parser.add_argument("--corrupt-faces", type=int, default=SAMPLE, metavar="N", help="corrupt so many; 0: all")
    parser.add_argument("--report", type=Path, metavar="FILE", help="the model file of the report's net")
    arguments = parser.parse_args()
    files = [Path(name) if name.endswith(".onnx") else ASSETS / f"{name}.onnx" for name in arguments.names]
    files = files or ([] if arguments.report else shipped_files())
    faces = load_faces(arguments.measure) if arguments.measure else None
    for file in (*files, *filter(None, [arguments.report])):
        if faces is not None:
            print(f"{file.stem}: {measure(file, faces, sample=arguments.corrupt_faces)}", flush=True)
    if arguments.report:
        keep_report_card(arguments.report, REPORT_CARD)
    PAGES.mkdir(exist_ok=True)
    for name, text in ({f"{file.stem}.md": page(file) for file in files} | shared_pages(REPORT_CARD)).items():
        write_text(PAGES / name, text)
        print(f"wrote {PAGES / name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

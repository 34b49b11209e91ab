"""Write the pages of docs/models from the cards in the model files that ship.

    python tools/write_model_cards.py                                # the pages alone
    python tools/write_model_cards.py --measure faces.npz            # measures the models first
    python tools/write_model_cards.py --measure faces.npz swift-nano resnet34.onnx

With --measure, all figures are measured anew, robustness included, and written into the files' cards. That takes some
minutes for each of the larger models. The graphs and weights stay as they are. A test compares the pages with what this
would write.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import onnx

from mien.classify.abstain import without_thresholds
from mien.classify.card import ModelCard
from mien.classify.card_page import card_markdown
from mien.classify.onnx import OnnxClassifier
from mien.data.formats.npz import load_faces
from mien.evaluation.card_figures import card_figures
from mien.io.atomic_write import atomic_write, write_text
from mien.train.onnx_export.onnx_graph import model_bytes
from mien.types import FaceSet

ROOT = Path(__file__).parents[1]
ASSETS, PAGES = ROOT / "src" / "mien" / "assets", ROOT / "docs" / "models"
_FOOT = "\nThis page is written from the card in the model file by `python tools/write_model_cards.py`.\n"
_OLD = ("valid_votes_agreed",)  # figures of earlier versions, which others have replaced


def page(file: Path) -> str:
    """Return the page of a model file."""
    classifier = OnnxClassifier(file, threads=1)
    return card_markdown(classifier.card, classifier.hash) + _FOOT


def measure(file: Path, faces: FaceSet) -> ModelCard:
    """Measure a model file anew on the valid faces, and write the figures into its card."""
    classifier = OnnxClassifier(file)
    scores = without_thresholds(classifier.card.scores)
    kept = {name: value for name, value in scores.items() if name not in _OLD}
    figures = card_figures(classifier, faces, corrupt=True)
    card = replace(classifier.card, scores=kept, measured_on=faces.hash).with_scores(**figures)
    if not card.question:  # an older file, of the only question that there was
        card = replace(card, question="fer2013")
    with atomic_write(file) as part:
        part.write(model_bytes(onnx.load(file), card))
    return card


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="models that ship, or files; all that ship, if none is named")
    parser.add_argument("--measure", type=Path, metavar="FACES", help="a file of faces to measure the models on first")
    arguments = parser.parse_args()
    names = arguments.names or sorted(file.stem for file in ASSETS.glob("swift*.onnx"))
    faces = load_faces(arguments.measure) if arguments.measure else None
    PAGES.mkdir(exist_ok=True)
    for name in names:
        file = Path(name) if name.endswith(".onnx") else ASSETS / f"{name}.onnx"
        if faces is not None:
            print(f"{name}: {measure(file, faces)}")
        write_text(PAGES / f"{file.stem}.md", page(file))
        print(f"wrote {PAGES / f'{file.stem}.md'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

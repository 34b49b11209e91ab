"""Train the study of docs/report-study.md: what the report argues from, one change each, beside one base.

    python experiments/report_study.py faces.npz -o runs/report-study       # 10 epochs each: hours
    python experiments/report_study.py faces.npz -o runs/report-hour --epochs 3   # a short form of it
    python experiments/report_study.py faces.npz -o runs/report-study --all --seeds 2   # goes on, with more of both

As in the report, 24,000 of FER2013's train faces train and the other 4,709 judge; PublicTest takes no part. The same
command goes on after an interruption. OUT/differences.csv sets the last epoch of each run beside the base's of the same
seed, face by face: the difference of their accuracies with its 95% interval, in points, and of their mean recalls.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mien.data.formats.npz import load_faces
from mien.data.splits import split_random
from mien.evaluation.paired import compare_predictions
from mien.io.atomic_write import write_text
from mien.metrics import confusion_matrix
from mien.train import Candidate, Trial, load_candidate, study
from mien.train.net_classifier import NetClassifier
from mien.types import FaceSet

RECIPES = Path(__file__).parents[1] / "recipes" / "report"
ARGUED = (
    *("weighted", "smoothing-none", "adam-0.0003", "augment-none"),
    *("schedule-constant", "normalise-fer2013", "prototypes"),
)
REST = (
    *("sgd-0.003", "sgd-0.03", "adam", "adam-0.0001", "normalise-train", "schedule-cosine"),
    *("fused", "fc-2", "fc-3", "dropout", "crop-44"),
)
CLEAN = "cleaned"
JUDGES = 4709  # of 28,709


def candidates(train: FaceSet, names: Iterable[str], *, epochs: int) -> Iterator[Candidate]:
    """Yield the base and what differs from it in one thing; the cleaned faces are the base's without the bad ones."""
    changes = [f"optim.epochs={epochs}", f"optim.step_epochs={max(1, epochs // 3)}"] if epochs else []
    yield (base := load_candidate(RECIPES / "short.toml", changes))
    bad = msgspec.json.decode((RECIPES / "review.json").read_bytes())["choices"]
    clean = train[~np.isin(train.ids, [name for name, choice in bad.items() if choice == "drop"])]
    yield Candidate(CLEAN, base.recipe, "Without the bad images of review.json.", clean)
    yield from (load_candidate(RECIPES / f"{name}.toml", changes) for name in names)


def compare_with_base(trials: Iterable[Trial], names: Sequence[str], judges: FaceSet, out: Path) -> pd.DataFrame:
    """Compare the last epoch of each run with that of the base's run of the same seed, on the same faces.

    Parameters
    ----------
    trials
        Those that ended well, of the study in `out`.
    names
        The candidates, the base first.
    judges
        Labelled faces.
    out
        The folder of the study.
    """
    base: dict[int, tuple[NDArray[np.int64], float]] = {}
    rows = []
    for trial in sorted(trials, key=lambda each: (names.index(each.name), each.seed)):
        if trial.name != names[0] and trial.seed not in base:
            continue
        classifier = NetClassifier.load(out / trial.name / f"seed-{trial.seed}", epoch="last", threads=1)
        predicted = classifier(judges.images).probs.argmax(axis=1)
        confusion = confusion_matrix(judges.labels, predicted, classes=len(judges.class_names))
        recall = float((np.diag(confusion) / confusion.sum(axis=1).clip(min=1)).mean())
        other, other_recall = base.setdefault(trial.seed, (predicted, recall))
        paired = compare_predictions(judges.labels, predicted, other)
        shares = [paired.first.value, paired.difference, *paired.interval, recall, recall - other_recall]
        rows.append([trial.name, trial.seed, *(100 * share for share in shares)])
    columns = ["recipe", "seed", "accuracy", "difference", "low", "high", "mean_recall", "recall_difference"]
    return pd.DataFrame(rows, columns=columns)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("faces", type=Path, help="FER2013, as `mien data import fer2013.csv` writes it")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the folder of the study")
    parser.add_argument("--epochs", type=int, default=0, help="so many epochs each; 0: as the recipes say")
    parser.add_argument(
        "--all", action="store_true", help="the options of docs/report-study.md that it only tried, too"
    )
    parser.add_argument("--seeds", type=int, default=1, help="train each with the seeds 1 to this")
    parser.add_argument("--workers", type=int, default=2, help="how many are trained at a time, on one thread each")
    arguments = parser.parse_args()
    faces = load_faces(arguments.faces)
    train = faces[faces.splits == "train"]
    judged = split_random(train, valid=min(JUDGES, len(train) // 6), seed=1)
    compared = list(candidates(judged, [*ARGUED, *(REST if arguments.all else ())], epochs=arguments.epochs))
    trials = study(
        compared,
        judged,
        out=arguments.out,
        seeds=arguments.seeds,
        workers=arguments.workers,
        threads=1,
        progress=lambda done, total: _say(f"{done} of {total} epochs"),
    )
    ended = []
    try:
        for trial in trials:
            ended.append(trial)
            said = trial.failure or f"{trial.last:.4f}, {trial.minutes:.0f} minutes"
            _say(f"{trial.name}, seed {trial.seed}: {said}")
    except KeyboardInterrupt:
        _say(f"stopped; what is done is in {arguments.out}, and the same command goes on")
        return 130
    judges = judged[(judged.splits == "valid") & (judged.labels >= 0)]
    sound = [trial for trial in ended if not trial.failure]
    differences = compare_with_base(sound, [each.name for each in compared], judges, arguments.out)
    write_text(arguments.out / "differences.csv", differences.to_csv(index=False, float_format="%.2f"))
    sys.stdout.write((arguments.out / "table.md").read_text(encoding="utf-8"))
    _say(f"\nBeside the base with the same seed, in points:\n\n{differences.round(1).to_string(index=False)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

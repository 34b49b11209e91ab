"""Train the study of docs/report-study.md: what the report argues from, one change each, beside one base.

    python experiments/report_study.py faces.npz -o runs/report-study       # 10 epochs each: hours
    python experiments/report_study.py faces.npz -o runs/report-hour --epochs 3   # a short form of it
    python experiments/report_study.py faces.npz -o runs/report-study --all --seeds 2   # goes on, with more of both

As in the report, 24,000 of FER2013's train faces train and the other 4,709 judge; PublicTest takes no part. The same
command goes on after an interruption.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import numpy as np

from mien.data.formats.npz import load_faces
from mien.data.splits import split_random
from mien.train import Candidate, load_candidate, study
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
    trials = study(
        list(candidates(judged, [*ARGUED, *(REST if arguments.all else ())], epochs=arguments.epochs)),
        judged,
        out=arguments.out,
        seeds=arguments.seeds,
        workers=arguments.workers,
        threads=1,
        progress=lambda done, total: _say(f"{done} of {total} epochs"),
    )
    try:
        for trial in trials:
            ended = trial.failure or f"{trial.last:.4f}, {trial.minutes:.0f} minutes"
            _say(f"{trial.name}, seed {trial.seed}: {ended}")
    except KeyboardInterrupt:
        _say(f"stopped; what is done is in {arguments.out}, and the same command goes on")
        return 130
    sys.stdout.write((arguments.out / "table.md").read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""How long two recipes take to the same accuracy: `dash`, and the report's own, on this machine in one run.

    python benchmarks/dash.py faces.npz [--target 0.675] [--threads 0] [--epochs 2] [--whole]

`dash` is trained until its accuracy on the valid faces reaches the target. The report's recipe, with ResNet-18, takes
hours. So only some epochs of it are timed, in float32 as the report had it and in the fastest precision of this
machine, and the time of all is estimated from their median; `--whole` trains it until it reaches the target or ends.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import torch

from mien.data.formats.npz import load_faces
from mien.train import load_recipe, train
from mien.train.run.checkpoint import Epoch
from mien.types import FaceSet

RECIPES = Path(__file__).parents[1] / "recipes"


def trained(faces: FaceSet, recipe: Path, *, precision: str, target: float, epochs: int = 0) -> list[Epoch]:
    """The epochs of a training until it reaches the target, ends, or has done so many."""
    done: list[Epoch] = []
    with tempfile.TemporaryDirectory() as folder:
        for epoch in train(load_recipe(recipe, [f'optim.precision="{precision}"']), faces, out=Path(folder) / "run"):
            done.append(epoch)
            print(f"  epoch {epoch.number:3}  {epoch.valid_accuracy:.4f}  {epoch.seconds:.0f} s", flush=True)
            if epoch.valid_accuracy >= target or epoch.number == epochs:
                break
    return done


def told(name: str, done: list[Epoch], *, target: float) -> float:
    """Say how it went; the minutes."""
    minutes, best = sum(epoch.seconds for epoch in done) / 60, max(epoch.valid_accuracy for epoch in done)
    how = "reached" if best >= target else "did not reach"
    print(f"{name}: {how} {target:.1%} in {minutes:.1f} minutes and {len(done)} epochs; best {best:.2%}")
    return minutes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path)
    parser.add_argument("--target", type=float, default=0.675)
    parser.add_argument("--threads", type=int, default=0, help="0: torch's choice")
    parser.add_argument("--epochs", type=int, default=2, help="of the report's recipe")
    parser.add_argument("--whole", action="store_true", help="train the report's recipe until it is there or ends")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    faces, target = load_faces(arguments.faces), arguments.target
    dash = told("dash", trained(faces, RECIPES / "dash.toml", precision="auto", target=target), target=target)
    report = RECIPES / "report" / "final-18.toml"
    whole = load_recipe(report).optim.epochs
    for precision in ("32-true", "auto"):
        name = f"the report's recipe, {precision}"
        if arguments.whole:
            minutes = told(name, trained(faces, report, precision=precision, target=target), target=target)
        else:
            done = trained(faces, report, precision=precision, target=2.0, epochs=arguments.epochs)
            minutes = whole * statistics.median(epoch.seconds for epoch in done) / 60
            print(f"{name}: {whole} epochs would take {minutes:.1f} minutes")
        print(f"{name}: {minutes / dash:.1f} times as long as dash")


if __name__ == "__main__":
    main()

"""Which of several models do best together: every choice of up to so many, mirrored, on the labelled valid faces.

    python benchmarks/choices.py faces.npz swift swift-nano other.onnx [--most 5] [--show 8]

Prints each model's accuracy, then the choices with the highest accuracy of their mean. They are chosen on the faces
that they are measured on, so that the highest figures are a little high.
"""

import argparse
from itertools import chain, combinations

import numpy as np

import mien


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces")
    parser.add_argument("models", nargs="+", help="names of models that ship, or files")
    parser.add_argument("--most", type=int, default=5, help="models of a choice")
    parser.add_argument("--show", type=int, default=8, help="choices that are printed")
    arguments = parser.parse_args()
    faces = mien.load_faces(arguments.faces)
    valid = faces[(faces.splits == "valid") & (faces.labels >= 0)]
    said = {name: mien.Mirrored(mien.load(name))(valid.images).probs for name in arguments.models}

    def accuracy(names: tuple[str, ...]) -> float:
        mean = np.mean([said[name] for name in names], axis=0)
        return float((mean.argmax(axis=1) == valid.labels).mean())

    for name in said:
        print(f"{accuracy((name,)):.4f}  {name}")
    sizes = range(1, min(arguments.most, len(said)) + 1)
    choices = list(chain.from_iterable(combinations(said, size) for size in sizes))
    print(f"the best of {len(choices)} choices")
    for choice in sorted(choices, key=accuracy, reverse=True)[: arguments.show]:
        print(f"{accuracy(choice):.4f}  {', '.join(choice)}")


if __name__ == "__main__":
    main()

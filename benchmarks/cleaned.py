"""Compare runs on the valid faces that have no copy in train, so that a leak counts for none of them.

    python benchmarks/cleaned.py faces.npz audit.json runs/raw1 runs/raw2 runs/clean1 runs/clean2

faces.npz and its audit are the raw ones. Prints for each run its accuracy on all valid faces, on those without an
identical or near-identical copy in train or test, and how often it agrees there with the plurality of the FER+ votes.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from mien.data.audit.findings import load_audit
from mien.data.formats.npz import load_faces
from mien.train.onnx_export.export import load_inference_model
from mien.types import batches


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path)
    parser.add_argument("audit", type=Path)
    parser.add_argument("runs", type=Path, nargs="+")
    arguments = parser.parse_args()
    faces, audit = load_faces(arguments.faces), load_audit(arguments.audit)
    leaks = [finding for finding in audit.findings if finding.kind in ("leak", "near-leak")]
    copies = np.array([row for leak in leaks for row in (leak.row, leak.other) if row is not None], np.int64)
    alone = ~np.isin(np.arange(len(faces)), copies)[faces.splits == "valid"]
    valid = faces[faces.splits == "valid"]
    clear = alone & (valid.plurality >= 0)
    print(f"{len(valid):,} valid faces, {alone.sum():,} without a copy, {clear.sum():,} of these with a clear vote")
    for run in arguments.runs:
        model, _ = load_inference_model(run, name="run")
        with torch.no_grad():
            parts = [model(torch.from_numpy(valid.images[rows].copy())) for rows in batches(len(valid), 256)]
        top = torch.cat(parts).argmax(dim=1).numpy()
        right, agreed = top == valid.labels, top == valid.plurality
        print(f"{run.name}: all {right.mean():.4f}, alone {right[alone].mean():.4f}, FER+ {agreed[clear].mean():.4f}")


if __name__ == "__main__":
    main()

"""Plant known faults in FER2013 and count how many the audit finds.

    python benchmarks/audit_faults.py faces.npz --work DIR [--threads 1]

500 train faces get a random other label, 200 are copied (shifted, brightened, half of them mirrored, saved as JPEG) and
50 pictures of noise are added. A small net scores each train face out of three folds, about ten minutes on one thread;
its scores are kept in DIR, so that a second run takes a minute. cleanlab, where it is installed, ranks the same scores.
"""

import argparse
import dataclasses
import io
import time
from pathlib import Path

import numpy as np
from PIL import Image

import mien
from mien.data.scores_file import FaceScores, load_scores, save_scores
from mien.labels import VOTES
from mien.types import FACE_SIDE, FaceSet, Scores

RELABELLED, COPIES, NOISE, FOLDS = 500, 200, 50, 3
RECIPE = """
[net]
widths = [16, 32, 64, 128]
blocks = 1
dropout = 0.1
[augment]
erase = 0.0
rotate_degrees = 8
shift_pixels = 2
[optim]
epochs = 9
lr = 0.1
image_sizes = [[32, 1.0]]
"""


def altered(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A copy as sites make them: shifted by up to 2 pixels, brighter or darker, perhaps mirrored, saved as JPEG."""
    down, right = rng.integers(-2, 3, 2)
    copy = np.pad(image, 2, mode="edge")[2 + down : 50 + down, 2 + right : 50 + right].astype(float)
    if rng.random() < 0.5:
        copy = copy[:, ::-1]
    copy = (copy - copy.mean()) * rng.uniform(0.6, 1.4) + copy.mean() + rng.uniform(-40, 40)
    stream = io.BytesIO()
    Image.fromarray(copy.clip(0, 255).round().astype(np.uint8)).save(stream, "JPEG", quality=int(rng.integers(50, 96)))
    return np.asarray(Image.open(stream))


def plant(faces: FaceSet, seed: int) -> tuple[FaceSet, np.ndarray, np.ndarray]:
    """The faces with faults; the rows that were relabelled; the rows that were copied (copies follow the faces)."""
    rng = np.random.default_rng(seed)
    train = np.flatnonzero(faces.splits == "train")
    relabelled = rng.choice(train, RELABELLED, replace=False)
    labels = faces.labels.copy()
    labels[relabelled] = (labels[relabelled] + rng.integers(1, 7, RELABELLED)) % 7
    detailed = train[faces.images[train].reshape(len(train), -1).std(axis=1) > 15]
    copied = rng.choice(detailed, COPIES, replace=False)
    noise = rng.integers(0, 256, (NOISE, FACE_SIDE, FACE_SIDE), dtype=np.uint8)
    added = COPIES + NOISE
    whole = FaceSet(
        np.concatenate([faces.images, [altered(faces.images[row], rng) for row in copied], noise]),
        np.concatenate([labels, labels[copied], rng.integers(0, 7, NOISE)]),
        np.concatenate([faces.splits, np.full(added, "train")]),
        np.concatenate([faces.ids, [f"copy{n}" for n in range(COPIES)], [f"noise{n}" for n in range(NOISE)]]),
        None if faces.votes is None else np.concatenate([faces.votes, np.zeros((added, len(VOTES)), np.float32)]),
    )
    return whole, relabelled, copied


def out_of_fold(faces: FaceSet, work: Path, seed: int, threads: int) -> FaceScores:
    """Scores of each train face by a net that was trained on the other folds, at the epoch that does best."""
    from mien.train import Hardware, export, train
    from mien.train.recipe_toml import parse_recipe

    kept = work / "scores.npz"
    if kept.exists():
        return load_scores(kept)
    trained = faces[faces.splits == "train"]
    fold = np.random.default_rng(seed).permutation(len(trained)) % FOLDS
    probs = np.zeros((len(trained), 7), np.float32)
    for number in range(FOLDS):
        splits = np.where(fold == number, "valid", "train")
        started = time.perf_counter()
        run = train(
            parse_recipe(RECIPE), dataclasses.replace(trained, splits=splits), out=work / f"fold{number}",
            hardware=Hardware(threads=threads),
        )  # fmt: skip
        for epoch in run:
            print(f"fold {number} epoch {epoch.number} accuracy {epoch.valid_accuracy:.3f}", flush=True)
        export(run.out, work / f"fold{number}.onnx")
        model = mien.load(work / f"fold{number}.onnx", threads=threads)
        probs[fold == number] = model(trained.images[fold == number]).probs
        print(f"fold {number}: {time.perf_counter() - started:.0f} s", flush=True)
    scored = FaceScores(trained.ids, Scores(probs), held_out=True)
    save_scores(scored, kept)
    return scored


def report_copies(faces: FaceSet, found: mien.Audit, copied: np.ndarray) -> None:
    """How many copies are known as copies of what they were copied from, and how much noise as no face."""
    from mien.data.audit.duplicates import connected_components

    copies = [(each.row, each.other) for each in found.findings if each.other is not None]
    groups = connected_components(len(faces), np.array(copies))
    first = len(faces) - COPIES - NOISE
    known = groups[first : first + COPIES] == groups[copied]
    rejected = {each.row for each in found.of_kind("nonface", "blank")}
    noise = sum(row in rejected for row in range(first + COPIES, len(faces)))
    print(f"copies found {known.sum()} of {COPIES}; noise found {noise} of {NOISE}")


def report_labels(faces: FaceSet, found: mien.Audit, scored: FaceScores, relabelled: np.ndarray) -> None:
    """The precision at 500 of the wrong labels, beside cleanlab's on the same scores."""
    rows, probs = scored.match(faces)
    ranked = {"mien": [each.row for each in found.of_kind("label")]}
    try:
        from cleanlab.filter import find_label_issues
    except ModuleNotFoundError:
        print("cleanlab is not installed: pip install cleanlab")
    else:
        for method in ("confident_learning", "prune_by_noise_rate", "both"):
            issues = find_label_issues(
                faces.labels[rows], probs, filter_by=method, return_indices_ranked_by="self_confidence", n_jobs=1
            )
            ranked[f"cleanlab {method}"] = rows[issues].tolist()
    wrong = set(relabelled.tolist())
    plurality = faces.plurality
    for name, order in ranked.items():
        top, voted = order[:500], [row for row in order[:500] if plurality[row] >= 0]
        planted = sum(row in wrong for row in top)
        against = sum(plurality[row] != faces.labels[row] for row in voted)
        recall = len(wrong.intersection(order)) / len(wrong)
        print(
            f"{name:32} {len(order):6,} found; of the first 500, {planted} were planted, and FER+ contradicts the"
            f" labels of {against} of {len(voted)} with a clear vote ({against / len(voted):.1%}); planted ones"
            f" found anywhere: {recall:.1%}"
        )


def main() -> None:
    """Plant, score, audit, count."""
    from mien.detect.yunet import YuNet

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    faces, relabelled, copied = plant(mien.load_faces(options.faces), options.seed)
    scored = out_of_fold(faces, options.work, options.seed, options.threads)
    rows, probs = scored.match(faces)
    print(f"held-out accuracy on the labels as they are: {(probs.argmax(axis=1) == faces.labels[rows]).mean():.3f}")
    found = mien.audit(faces, scores=scored, detector=YuNet(threshold=0.01))
    report_copies(faces, found, copied)
    report_labels(faces, found, scored, relabelled)


if __name__ == "__main__":
    main()

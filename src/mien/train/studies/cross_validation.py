"""Cross-validation: each train face is scored by a net that has seen neither it nor its identical twin."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mien.data.scores_file import FaceScores
from mien.data.splits import assign_folds
from mien.errors import RunError
from mien.train.onnx_export.export import InferenceModel, load_inference_model
from mien.train.recipe import Recipe
from mien.train.run.hardware import DEFAULT_HARDWARE, Hardware
from mien.train.run.trainer import Run, train
from mien.types import FaceSet, Scores, batches


def fold_runs(
    recipe: Recipe,
    faces: FaceSet,
    *,
    out: Path | str,
    folds: int = 5,
    resume: bool = False,
    hardware: Hardware = DEFAULT_HARDWARE,
) -> Iterator[Run]:
    """Prepare a run for each fold, in out/fold-1 and so on, that learns from the other folds' labelled train faces.

    The fold itself is the run's valid faces. Iterate over each run to train it, then give all to `held_out_scores`.
    Raises RunError as `train` does, DataError where there are fewer than 2 folds, or more folds than faces.
    """
    labelled = faces[(faces.labels >= 0) & (faces.splits == "train")]
    fold = assign_folds(labelled, folds=folds, seed=recipe.seed)
    for number in range(folds):
        parted = replace(labelled, splits=np.where(fold == number, "valid", "train"))
        yield train(
            recipe,
            parted,
            out=Path(out) / f"fold-{number + 1}",
            resume=resume,
            hardware=hardware,
        )


def held_out_scores(runs: Sequence[Run]) -> FaceScores:
    """Score every held-out face by its own fold's net, averaged over the face and its mirror image.

    The net is that of the last epoch: the best would have been chosen by the labels that it is to judge.
    Raises RunError where there is no run, or one is not finished.
    """
    if not runs or any(not run.finished for run in runs):
        raise RunError("scores of held-out faces need the runs of all folds, finished: go on with --resume")
    ids = np.concatenate([run.faces.valid.ids for run in runs])
    models = [load_inference_model(run, name="fold", epoch="last")[0] for run in runs]
    probs = np.concatenate([_score(model, run.faces.valid.images) for model, run in zip(models, runs, strict=True)])
    return FaceScores(ids, Scores(probs, runs[0].class_names), held_out=True)


@torch.no_grad()
def _score(model: InferenceModel, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    parts = []
    for rows in batches(len(images), 256):
        plain = torch.from_numpy(images[rows].copy())
        parts.append((model(plain) + model(plain.flip(-1))).numpy() / 2)
    return np.concatenate(parts).astype(np.float32)

"""Which faces are typical of a class by the features of a run's net, and where all lie."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.decomposition import PCA

import mien
from mien.data.formats.npz import save_faces
from mien.errors import RunError
from mien.train import train
from mien.train.onnx_export.export import load_inference_model
from mien.train.recipe_toml import parse_recipe
from mien.train.studies.prototypes import map_features
from support import ONE_THREAD, run_mien, train_and_valid

FACES = train_and_valid(120, 30)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "tiny"
    recipe = parse_recipe("[net]\nwidths = [4, 8]\nblocks = 1\n[optim]\nepochs = 1\nbatch = 16\n")
    list(train(recipe, FACES, out=folder, hardware=ONE_THREAD))
    return folder


def test_the_nearest_faces_and_the_map_agree_with_scikit_learn(run: Path) -> None:
    mapped = map_features(run, FACES, nearest=3)
    model, _ = load_inference_model(run, name="oracle")
    with torch.inference_mode():
        features = model.net.features(torch.tensor(FACES.images)[:, None].float()).double().numpy()
    for label in range(7):
        own = np.flatnonzero(FACES.labels == label)
        distances = ((features[own] - features[own].mean(axis=0)) ** 2).sum(axis=1)
        assert set(mapped.nearest[label]) == set(own[np.argsort(distances)[:3]])
    oracle = PCA(2).fit(features)
    np.testing.assert_allclose(abs(mapped.points), abs(oracle.transform(features)), atol=1e-5)
    assert mapped.explained == pytest.approx(oracle.explained_variance_ratio_.sum(), abs=1e-6)


def test_a_class_without_faces_has_no_prototype(run: Path) -> None:
    mapped = map_features(run, FACES[FACES.labels != 2], nearest=2)
    assert np.isnan(mapped.prototypes).all(axis=1).tolist() == [False, False, True, False, False, False, False]
    assert mapped.nearest[2].tolist() == [-1, -1]


def test_faces_of_other_classes_are_refused(run: Path) -> None:
    other = mien.FaceSet(FACES.images, FACES.labels % 2, FACES.splits, FACES.ids, class_names=("bored", "engaged"))
    with pytest.raises(RunError, match="must have the run's classes"):
        map_features(run, other)


def test_the_command_draws_them(run: Path, tmp_path: Path) -> None:
    save_faces(FACES, tmp_path / "faces.npz")
    drawn = tmp_path / "prototypes.png"
    said = run_mien("data", "show", tmp_path / "faces.npz", "--prototypes", run, "--draw", drawn)
    assert (said.code, "150, are drawn in" in said.err) == (0, True), said.err
    with Image.open(drawn) as picture:
        assert min(picture.size) > 400
    assert run_mien("data", "show", tmp_path / "faces.npz", "--prototypes", run).code == 2
    nowhere = run_mien("data", "show", tmp_path / "faces.npz", "--prototypes", tmp_path / "no", "--draw", drawn)
    assert (nowhere.code, "holds no run with a finished epoch" in nowhere.err) == (1, True)

"""Losses: torch's cross entropy wherever it has the same thing, plain loops where it has not."""

import dataclasses
import math
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch.nn import functional

from mien.errors import RecipeError, RunError
from mien.train.loss.losses import Targets, class_weights, compute_loss, make_targets
from mien.train.loss.settings import Loss
from mien.train.recipe_toml import parse_recipe
from mien.types import FaceSet
from support import random_faces

PLAIN = Loss(smoothing=0)
GIVEN = (1.0, 3.0, 0.5, 0.25, 2.0, 1.5, 1.0)
COUNTS = (3, 1, 5, 9, 7, 2, 4)


@pytest.fixture
def faces() -> FaceSet:
    """31 faces, of each class another number; the last three without votes."""
    faces = random_faces(sum(COUNTS), labels=np.repeat(np.arange(7), COUNTS), votes=True)
    assert faces.votes is not None
    votes = faces.votes.copy()
    votes[-3:] = 0
    return dataclasses.replace(faces, votes=votes)


@pytest.fixture
def logits() -> torch.Tensor:
    return torch.randn(sum(COUNTS), 7, generator=torch.Generator().manual_seed(0))


def loss(settings: Loss, faces: FaceSet, outputs: torch.Tensor, *, teacher_probs: np.ndarray | None = None) -> float:
    return compute_loss(outputs, make_targets(settings, faces, classes=7, teacher_probs=teacher_probs)).item()


@pytest.mark.parametrize("smoothing", [0.0, 0.05, 0.3])
@pytest.mark.parametrize("weights", ["none", "inverse", "sqrt", GIVEN])
def test_weights_and_smoothing_are_torchs(faces: FaceSet, logits: torch.Tensor, smoothing: float, weights: Any) -> None:
    counts = np.array(COUNTS, np.float64)
    wanted = {"none": np.ones(7), "inverse": 1 / counts, "sqrt": counts**-0.5}
    each = torch.tensor(wanted[weights] if isinstance(weights, str) else weights, dtype=torch.float32)
    labels = torch.from_numpy(faces.labels.copy())
    theirs = functional.cross_entropy(logits, labels, weight=each, label_smoothing=smoothing)
    settings = Loss(smoothing=smoothing, class_weights=weights)
    assert loss(settings, faces, logits) == pytest.approx(theirs.item(), rel=1e-5)


def test_weights_have_mean_1(faces: FaceSet) -> None:
    for kind in ("inverse", "sqrt"):
        weights = class_weights(Loss(class_weights=kind), faces, classes=7)
        assert weights.mean() == pytest.approx(1)
    rare, frequent = class_weights(Loss(class_weights="inverse"), faces, classes=7)[[1, 3]]
    assert rare / frequent == pytest.approx(9)


def test_a_class_without_faces_is_no_part_of_the_loss(faces: FaceSet, logits: torch.Tensor) -> None:
    some = faces[faces.labels != 1]
    kept = torch.from_numpy(faces.labels != 1)
    for kind in ("inverse", "sqrt"):
        settings = Loss(smoothing=0.1, class_weights=kind)
        assert class_weights(settings, some, classes=7)[1] == 0
        assert math.isfinite(loss(settings, some, logits[kept]))


def test_a_batch_of_classes_that_do_not_count_has_no_loss(faces: FaceSet, logits: torch.Tensor) -> None:
    for smoothing in (0, 0.1):
        settings = Loss(class_weights=(0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0), smoothing=smoothing)
        outputs = logits[:3].clone().requires_grad_()
        nothing = compute_loss(outputs, make_targets(settings, faces[faces.labels == 0], classes=7))
        nothing.backward()
        assert nothing == 0
        assert outputs.grad is not None
        assert not outputs.grad.any()


def test_smoothing_over_the_wrong_classes_alone(faces: FaceSet, logits: torch.Tensor) -> None:
    """The report's formula, face by face: 1 - s for the right class and s/(K - 1) for each wrong one."""
    logs = torch.log_softmax(logits.double(), dim=1).tolist()
    total = 0.0
    for row, label in zip(logs, faces.labels.tolist(), strict=True):
        total -= sum((0.95 if k == label else 0.05 / 6) * value for k, value in enumerate(row))
    ours = loss(Loss(smoothing=0.05, smoothing_over="wrong"), faces, logits)
    assert ours == pytest.approx(total / len(faces), rel=1e-5)
    assert ours != pytest.approx(loss(Loss(smoothing=0.05), faces, logits), rel=1e-4)


@pytest.mark.parametrize("over", ["all", "wrong"])
@pytest.mark.parametrize("votes", [0.0, 0.4, 1.0])
def test_without_weights_each_target_sums_to_1(faces: FaceSet, over: Literal["all", "wrong"], votes: float) -> None:
    targets = make_targets(Loss(smoothing=0.2, smoothing_over=over, ferplus_weight=votes), faces, classes=7)
    torch.testing.assert_close(targets.class_target.sum(dim=1), torch.ones(len(faces)))
    torch.testing.assert_close(targets.sample_weight, torch.ones(len(faces)))


def voted_distribution(faces: FaceSet, share: float) -> torch.Tensor:
    """(N, 7): a share for the votes of the seven expressions, the rest for the label; the label where none voted."""
    assert faces.votes is not None
    rows = []
    for label, votes in zip(faces.labels.tolist(), faces.votes.tolist(), strict=True):
        seven = votes[:7]
        hard = [float(k == label) for k in range(7)]
        soft = [vote / sum(seven) for vote in seven] if sum(seven) else hard
        rows.append([(1 - share) * h + share * s for h, s in zip(hard, soft, strict=True)])
    return torch.tensor(rows)


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_votes_are_torchs_probability_targets(faces: FaceSet, logits: torch.Tensor, share: float) -> None:
    theirs = functional.cross_entropy(logits, voted_distribution(faces, share), label_smoothing=0.1)
    assert loss(Loss(smoothing=0.1, ferplus_weight=share), faces, logits) == pytest.approx(theirs.item(), rel=1e-5)


def test_votes_with_weights_are_a_weighted_mean(faces: FaceSet, logits: torch.Tensor) -> None:
    shares = voted_distribution(faces, 0.5).double()
    weights = torch.tensor(GIVEN, dtype=torch.float64)
    above = -(shares * weights * torch.log_softmax(logits.double(), dim=1)).sum()
    ours = loss(Loss(smoothing=0, ferplus_weight=0.5, class_weights=GIVEN), faces, logits)
    assert ours == pytest.approx((above / (shares * weights).sum()).item(), rel=1e-5)


def test_fractions_of_votes_are_shares_too(faces: FaceSet, logits: torch.Tensor) -> None:
    assert faces.votes is not None
    tenth = dataclasses.replace(faces, votes=faces.votes / np.float32(100))
    settings = Loss(ferplus_weight=1.0, aux_ferplus_weight=0.5)
    outputs = torch.cat((logits, logits[:, :3], logits), dim=1)
    assert loss(settings, tenth, outputs) == pytest.approx(loss(settings, faces, outputs), rel=1e-5)


def test_the_auxiliary_output_is_judged_by_all_ten_votes(faces: FaceSet, logits: torch.Tensor) -> None:
    more = torch.randn(len(faces), 10, generator=torch.Generator().manual_seed(1))
    assert faces.votes is not None
    voted = torch.from_numpy(faces.votes[:-3].copy())
    second = functional.cross_entropy(more[:-3], voted / voted.sum(dim=1, keepdim=True))
    ours = loss(dataclasses.replace(PLAIN, aux_ferplus_weight=0.7), faces, torch.cat((logits, more), dim=1))
    assert ours == pytest.approx(loss(PLAIN, faces, logits) + 0.7 * second.item(), rel=1e-5)


def test_a_batch_without_votes_has_no_auxiliary_loss(faces: FaceSet, logits: torch.Tensor) -> None:
    targets = make_targets(dataclasses.replace(PLAIN, aux_ferplus_weight=0.7), faces, classes=7)
    outputs = torch.cat((logits, logits[:, :3], logits), dim=1).requires_grad_()
    few = torch.arange(len(faces) - 3, len(faces))
    made = compute_loss(outputs[few], targets[few])
    made.backward()
    assert made.item() == pytest.approx(loss(PLAIN, faces[-3:], logits[-3:]), rel=1e-5)
    assert outputs.grad is not None
    assert torch.isfinite(outputs.grad).all()


@pytest.mark.parametrize("heat", [1.0, 4.0])
def test_a_teacher_is_mixed_in_as_hinton_has_it(faces: FaceSet, logits: torch.Tensor, heat: float) -> None:
    theirs = torch.randn(len(faces), 7, generator=torch.Generator().manual_seed(2)) * 3
    soft = functional.cross_entropy(logits / heat, torch.softmax(theirs / heat, dim=1)) * heat**2
    settings = Loss(smoothing=0.1, class_weights=GIVEN, distill_weight=0.3, distill_temperature=heat)
    ours = loss(settings, faces, logits, teacher_probs=torch.softmax(theirs, dim=1).numpy())
    assert ours == pytest.approx(0.7 * loss(settings, faces, logits) + 0.3 * soft.item(), rel=1e-5)


def test_a_teacher_that_is_quite_sure(faces: FaceSet, logits: torch.Tensor) -> None:
    """Its probabilities may be exactly 0: a label, that is."""
    sure = np.eye(7, dtype=np.float32)[faces.labels]
    settings = dataclasses.replace(PLAIN, distill_weight=1.0)
    assert loss(settings, faces, logits, teacher_probs=sure) == pytest.approx(loss(PLAIN, faces, logits), rel=1e-5)


def test_targets_are_linear(faces: FaceSet) -> None:
    """A face mixed with another has the mixture of both targets, class weights and votes included."""
    settings = Loss(ferplus_weight=0.5, aux_ferplus_weight=1.0, class_weights="inverse", distill_temperature=2.0)
    taught = np.full((len(faces), 7), 1 / 7, np.float32)
    targets = make_targets(settings, faces, classes=7, teacher_probs=taught)
    partners = torch.randperm(len(faces), generator=torch.Generator().manual_seed(0))
    shares = torch.rand(len(faces), generator=torch.Generator().manual_seed(1))
    mixed = targets.mix(partners, shares)
    for name in ("class_target", "sample_weight", "teacher_probs", "vote_target"):
        ours, was = getattr(mixed, name), getattr(targets, name)
        for row, (partner, share) in enumerate(zip(partners.tolist(), shares.tolist(), strict=True)):
            torch.testing.assert_close(ours[row], share * was[row] + (1 - share) * was[partner])


def test_the_loss_of_mixed_faces_is_mixups(faces: FaceSet, logits: torch.Tensor) -> None:
    """Zhang et al. (2018): the share times the one loss plus the rest times the other."""
    labels = torch.from_numpy(faces.labels.copy())
    partners = torch.arange(len(faces)).flip(0)
    own, other = (functional.cross_entropy(logits, which) for which in (labels, labels[partners]))
    targets = make_targets(PLAIN, faces, classes=7).mix(partners, torch.full((len(faces),), 0.3))
    assert compute_loss(logits, targets).item() == pytest.approx((0.3 * own + 0.7 * other).item(), rel=1e-5)


def test_rows_are_chosen(faces: FaceSet) -> None:
    targets = make_targets(Loss(ferplus_weight=0.5), faces, classes=7)
    assert isinstance(targets[torch.tensor([2, 5])], Targets)
    assert torch.equal(targets[torch.tensor([5, 2])].class_target, targets.class_target[[5, 2]])


@pytest.mark.parametrize("key", ["ferplus_weight", "aux_ferplus_weight"])
@pytest.mark.parametrize("with_zeros", [True, False])
def test_missing_votes_are_named(faces: FaceSet, key: str, with_zeros: bool) -> None:
    assert faces.votes is not None
    change: dict[str, Any] = {key: 0.5}
    without = dataclasses.replace(faces, votes=np.zeros_like(faces.votes) if with_zeros else None)
    with pytest.raises(RunError, match=rf"^loss\.{key} needs faces with FER\+ votes .*--set loss\.{key}=0$"):
        make_targets(dataclasses.replace(PLAIN, **change), without, classes=7)


def test_a_wrong_number_of_weights_is_named(faces: FaceSet) -> None:
    with pytest.raises(RunError, match=r"loss\.class_weights must be 7 numbers, one a class, got 3"):
        make_targets(Loss(class_weights=(1.0, 1.0, 1.0)), faces, classes=7)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("loss.class_weights=[0, 0, 0, 0, 0, 0, 0]", r"one of loss\.class_weights must be over 0"),
        ("loss.class_weights=[1, -1, 1, 1, 1, 1, 1]", r"loss\.class_weights\[1\] must be in \[0, 1000000\], got -1"),
        ("loss.class_weights=[]", r"one of loss\.class_weights must be over 0, got \[\]"),
        ('loss.class_weights="counts"', r"loss\.class_weights .*none, inverse, sqrt"),
        ("loss.ferplus_weight=2", r"loss\.ferplus_weight must be in \[0, 1\]"),
        ("loss.distill_temperature=0", r"loss\.distill_temperature must be in \(0, 100\]"),
        ("loss.aux_ferplus_weight=-1", r"loss\.aux_ferplus_weight must be in \[0, 100\]"),
    ],
)
def test_refused_in_a_recipe(change: str, complaint: str) -> None:
    with pytest.raises(RecipeError, match=complaint):
        parse_recipe("", [change])

"""Targets from votes: what remains of a face's votes, and how much the face counts."""

import pytest
import torch

from mien.labels import VOTES
from mien.train.loss.vote_targets import vote_targets


def cast(*faces: dict[str, int]) -> torch.Tensor:
    return torch.tensor([[float(face.get(kind, 0)) for kind in VOTES] for face in faces])


def share(shares: torch.Tensor, row: int, kind: str) -> float:
    return shares[row, VOTES.index(kind)].item()


def test_a_face_is_what_its_annotators_voted_for() -> None:
    shares, weights = vote_targets(cast({"happy": 6, "neutral": 4}, {"sad": 9, "unknown": 1}))
    assert share(shares, 0, "happy") == pytest.approx(0.6)
    assert share(shares, 1, "unknown") == pytest.approx(0.1)
    assert weights.tolist() == [1, 1]


def test_single_votes_are_left_out_unless_nothing_remains() -> None:
    shares, weights = vote_targets(
        cast({"happy": 6, "neutral": 3, "fear": 1}, {"sad": 1, "fear": 1}, {"sad": 10}), min_votes=2
    )
    assert share(shares, 0, "happy") == pytest.approx(2 / 3)
    assert share(shares, 0, "fear") == 0
    assert share(shares, 1, "sad") == 0.5
    assert (weights / weights[2]).tolist() == pytest.approx([0.9, 1, 1])


def test_faces_without_votes_count_nothing() -> None:
    shares, weights = vote_targets(cast({}, {"happy": 10}), min_votes=2, rare_power=0.5)
    assert shares[0].sum() == 0
    assert weights.tolist() == [0, 1]


def test_rare_expressions_count_more_and_no_face_does_not() -> None:
    faces = [{"happy": 10}] * 80 + [{"fear": 10}] * 10 + [{"nonface": 10}] * 10
    _, weights = vote_targets(cast(*faces), rare_power=0.5)
    assert weights.mean() == pytest.approx(1)
    assert weights[80] / weights[0] == pytest.approx((80 / 10) ** 0.5)
    assert weights[0] < weights[90] < weights[80]

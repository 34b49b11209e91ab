"""Targets from FER+ votes: a distribution for each face, as many annotators saw it, and how much the face counts."""

import torch
from torch import Tensor

from mien.labels import VOTES

_LARGEST = 20.0  # times the mean: a kind of vote that hardly anyone cast must not outweigh all others
_NEUTRAL_KINDS = tuple(VOTES.index(kind) for kind in ("unknown", "nonface"))  # no expression: never made to count more


def vote_targets(votes: Tensor, *, min_votes: int = 1, rare_power: float = 0.0) -> tuple[Tensor, Tensor]:
    """Turn (N, 10) votes into distributions, (N, 10), and weights, (N,), whose mean is 1 over the faces with votes.

    Parameters
    ----------
    votes
        How many annotators voted for each kind in `VOTES`.
    min_votes
        A kind with fewer votes on a face is taken for a slip and left out there, unless nothing would remain (Barsoum
        et al., 2016, leave out single votes). The face counts as much as its votes that remain.
    rare_power
        Over 0, faces with rare expressions count more: a vote by (mean share of the kinds / share of its kind) to this
        power. 0.5 is the usual square root.
    """
    kept = votes
    if min_votes > 1:
        enough = torch.where(votes >= min_votes, votes, 0)
        kept = torch.where(enough.sum(dim=1, keepdim=True) > 0, enough, votes)
    counts, total = kept.sum(dim=1), votes.sum(dim=1)
    shares = kept / torch.where(counts > 0, counts, 1)[:, None]
    worth = counts / torch.where(total > 0, total, 1)
    if rare_power:
        common = (shares * worth[:, None]).mean(dim=0)
        rarity = (common[: -len(_NEUTRAL_KINDS)].mean() / common).clamp(max=_LARGEST) ** rare_power
        rarity[list(_NEUTRAL_KINDS)] = 1
        worth = worth * (shares * rarity).sum(dim=1)
    return shares, worth / worth[counts > 0].mean()

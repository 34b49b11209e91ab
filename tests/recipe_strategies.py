"""Recipes that hypothesis draws."""

import dataclasses
import math
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from hypothesis import strategies as st

from mien.errors import RecipeError
from mien.train.inputs.augment import Augment
from mien.train.inputs.camera import Camera
from mien.train.loss.settings import Loss
from mien.train.nets import NETS
from mien.train.nets.heads import Head
from mien.train.nets.normalise import Normalise
from mien.train.optim.settings import Optim
from mien.train.recipe import Recipe
from mien.train.settings import Interval, Settings, hints_of

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Any value that a setting with this annotation may have."""
    interval = None
    if get_origin(hint) is Annotated:
        hint, interval = get_args(hint)
    if get_origin(hint) in (Union, UnionType):
        return st.one_of(*map(values_of, get_args(hint)))
    if get_origin(hint) is Literal:
        return st.sampled_from(get_args(hint))
    if get_origin(hint) is tuple:
        kinds = get_args(hint)
        if kinds[-1] is not Ellipsis:
            return st.tuples(*map(values_of, kinds))
        low, high = _bounds(interval) if interval else (0, 9)
        return st.lists(values_of(kinds[0]), min_size=int(low), max_size=min(int(high), 9)).map(tuple)
    if hint is float:
        return st.floats(*(_bounds(interval) if interval else (None, None)), allow_nan=False, allow_infinity=False)
    if hint is int:
        low, high = _bounds(interval) if interval else (-(10**9), 10**9)
        return st.integers(int(low), int(high))
    return st.booleans() if hint is bool else TEXT


def _bounds(interval: Interval) -> tuple[float, float]:
    low, high = (float(bound) for bound in interval.text[1:-1].split(","))
    return (
        low if interval.text[0] == "[" else math.nextafter(low, math.inf),
        high if interval.text[-1] == "]" else math.nextafter(high, -math.inf),
    )


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    """Any recipe."""

    def settings(kind: type[Settings], **known: st.SearchStrategy[Any]) -> Any:
        drawn = {name: draw(known[name] if name in known else values_of(hint)) for name, hint in hints_of(kind).items()}
        return kind(**drawn)

    net = draw(st.sampled_from(list(NETS.values()))).settings
    sides = draw(st.lists(st.integers(16, 96), min_size=1, max_size=4))
    sizes = tuple((side, 1 / len(sides)) for side in sides)
    whole = {
        "seed": draw(st.integers(0, 2**32 - 1)),
        "net": settings(net, stem_kernel=st.sampled_from([3, 5, 7])),
        "head": settings(Head, fuse_share=st.floats(0.1, 0.9)),
        "normalise": settings(Normalise),
        "camera": settings(Camera),
        "loss": settings(
            Loss,
            question=st.just("fer2013"),
            class_weights=st.sampled_from(["none", "sqrt", (0.0, 1.5, 2.0)]),
            label_posterior=st.just(False) if (views := draw(st.integers(0, 2))) else st.booleans(),
            teacher_views=st.just(views),
        ),
        "augment": settings(Augment, crop=st.integers(16, 48)),
        "optim": settings(Optim, image_sizes=st.just(sizes)),
    }
    try:
        return Recipe(**whole)
    except RecipeError:  # parts that do not go together: let them
        whole |= {
            "head": dataclasses.replace(whole["head"], fuse=(), classifier="linear"),
            "loss": dataclasses.replace(whole["loss"], kind="cross-entropy", teacher_views=0),
            "optim": dataclasses.replace(whole["optim"], image_sizes=((96, 1.0),)),
        }
        if whole["net"].min_side > 96:
            whole["net"] = NETS["swift"].settings()
        return Recipe(**whole)

"""Several model files as one: an ensemble that is loaded, named, measured and shipped like any model."""

from collections.abc import Sequence
from pathlib import Path

from mien._version import __version__
from mien.classify.card import ModelCard
from mien.classify.ensemble import normalised_weights
from mien.classify.onnx import OnnxClassifier, load, shipped
from mien.errors import ModelError
from mien.train.onnx_export.export import write_model
from mien.train.onnx_export.onnx_graph import merge_graphs
from mien.types import FaceSet


def join(
    models: Sequence[Path | str],
    out: Path | str,
    *,
    weights: Sequence[float] | None = None,
    name: str = "",
    note: str = "",
    faces: FaceSet | None = None,
) -> ModelCard:
    """Write one model file whose probabilities are the mean of those of several; return its card.

    models: names of models that ship, or files; all of the same labels. weights: one a model; None: all alike.
    name: the model's, else the file's. note: what a reader should know, else the members' own notes. faces: where
    given, the finished file is measured on their valid split, and the card says how it did, with and without mirror
    averaging.
    Raises ModelError where a model cannot be read, the labels differ or the weights do not fit; OutputError where the
    file cannot be written.
    """
    import onnx

    members = [load(model, threads=1) for model in models]
    parts = normalised_weights(len(members), weights)
    for member in members[1:]:
        if member.card.class_names != members[0].card.class_names:
            raise ModelError(
                f"models that are joined must name the same classes, got {members[0].card.class_names} in {models[0]}"
                f" and {member.card.class_names} in {member.name}"
            )
    ships = shipped()
    contents = [(ships[str(model)] if str(model) in ships else Path(model)).read_bytes() for model in models]
    proto = merge_graphs([onnx.load_model_from_string(content) for content in contents], parts)
    first = members[0].card
    card = ModelCard(
        name=name or Path(out).stem,
        class_names=first.class_names,
        parameters=sum(member.card.parameters for member in members),
        recipe="\n".join(_recipe(member, part) for member, part in zip(members, parts, strict=True)),
        faces_hash=" ".join(dict.fromkeys(member.card.faces_hash for member in members)),
        commit=" ".join(dict.fromkeys(member.card.commit for member in members)),
        version=__version__,
        note=note or " ".join(dict.fromkeys(member.card.note for member in members if member.card.note)),
    )
    return write_model(proto, card, out, faces=faces)


def _recipe(member: OnnxClassifier, share: float) -> str:
    """A member's recipe under a comment that says which it is."""
    return f"# {share:.3g} of {member.name} ({member.hash[:12]})\n{member.card.recipe}"

"""Several model files become one: an ensemble that is loaded, named, measured and shipped like any model."""

from collections.abc import Sequence
from pathlib import Path

import onnx

from mien._version import __version__
from mien.classify.card import ModelCard
from mien.classify.ensemble import normalised_weights
from mien.classify.onnx import OnnxClassifier, load, shipped
from mien.errors import ModelError
from mien.io.atomic_write import require_writable
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
    """Write one model file whose probabilities are the mean of those of several models.

    Parameters
    ----------
    models
        Names of models that ship, or files; all of the same classes.
    out
        The model file.
    weights
        One for each model; None: all alike.
    name
        The model's name; if empty, the file's.
    note
        What a reader should know; if empty, the members' own notes.
    faces
        The file is measured on their valid split, with and without mirror averaging, and its card says how it did.

    Returns
    -------
    ModelCard
        The card of the file.

    Raises
    ------
    ModelError
        Where a model cannot be read, the classes differ or the weights do not fit.
    OutputError
        Where the file cannot be written, or is one of the models.
    """
    members = [load(model, threads=1) for model in models]
    shares = normalised_weights(len(members), weights)
    first = members[0].card
    for member in members[1:]:
        if member.card.class_names != first.class_names:
            raise ModelError(
                f"models that are joined must name the same classes, got {first.class_names} in {models[0]}"
                f" and {member.card.class_names} in {member.name}"
            )
    ships = shipped()
    files = [ships[str(model)] if str(model) in ships else Path(model) for model in models]
    require_writable(Path(out), inputs=[file for file in files if isinstance(file, Path)])
    proto = merge_graphs([onnx.load_model_from_string(file.read_bytes()) for file in files], shares)
    card = ModelCard(
        name=name or Path(out).stem,
        class_names=first.class_names,
        parameters=sum(member.card.parameters for member in members),
        recipe="\n".join(_describe_member(member, share) for member, share in zip(members, shares, strict=True)),
        faces_hash=" ".join(dict.fromkeys(member.card.faces_hash for member in members)),
        commit=" ".join(dict.fromkeys(member.card.commit for member in members)),
        version=__version__,
        note=note or " ".join(dict.fromkeys(member.card.note for member in members if member.card.note)),
    )
    return write_model(proto, card, out, faces=faces)


def _describe_member(member: OnnxClassifier, share: float) -> str:
    """Return a member's recipe under a comment that names the member and its share."""
    return f"# {share:.3g} of {member.name} ({member.hash[:12]})\n{member.card.recipe}"

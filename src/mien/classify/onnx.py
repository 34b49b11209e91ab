"""The classifier in a model file, and the models that ship. docs/model-file.md says what such a file holds."""

import difflib
import hashlib
import os
from collections.abc import Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.classify.card import ModelCard
from mien.classify.file_type import kind_of
from mien.classify.prior import Prior, corrected, prior_ratio
from mien.errors import ModelError
from mien.io.atomic_write import exists
from mien.types import COLUMNS, FACE_SIDE, Scores, batches, require_faces

_CPU = ("CPUExecutionProvider",)
_DETECTORS = ("yunet.onnx",)  # what ships beside the classifiers
_ADVICE = "a model file comes from: mien export RUN -o model.onnx; those that ship: mien models"


class OnnxClassifier:
    """The classifier in a model file: a path or the file's bytes. Checked whole when it is made, by a trial run too.

    threads:   that compute one batch; 0: as many as there are CPUs for this process.
    batch:     faces that are computed at a time, whatever is asked for at once; so memory stays flat.
    providers: of ONNX Runtime, best first.
    prior:     how often each class is expected before a face is seen, where it is not as the file says: the name of one
               in its card (`uniform`), or a number for each class.
    Safe to call from several threads. Raises ModelError where the file is no model of mien.
    """

    def __init__(
        self,
        source: Path | str | bytes,
        *,
        threads: int = 0,
        batch: int = 256,
        providers: Sequence[str] = _CPU,
        prior: Prior | None = None,
    ) -> None:
        if threads < 0:
            raise ModelError(f"threads must be 0 (as many as there are CPUs) or more, got {threads}")
        if batch < 1:
            raise ModelError(f"batch must be 1 or more, got {batch}")
        self._where = "the model" if isinstance(source, bytes) else str(source)
        content = source if isinstance(source, bytes) else _read(Path(source))
        self.threads = threads or _cpus()
        self.batch = batch
        self.hash = hashlib.sha256(content).hexdigest()
        self._session = _session(content, self._where, self.threads, providers)
        self.card = _card(self._session, self._where)
        _check_ends(self._session, self.card, self._where)
        self._ratio: NDArray[np.float64] | None = None  # what is in the file is tried as it is
        self(np.zeros((2, FACE_SIDE, FACE_SIDE), np.uint8))
        if prior is not None:
            self._ratio = prior_ratio(self.card, prior)

    @property
    def name(self) -> str:
        """The model's name, from its card."""
        return self.card.name

    def __repr__(self) -> str:
        return f"OnnxClassifier({self._where!r}, name={self.name!r}, threads={self.threads}, batch={self.batch})"

    def __call__(self, images: NDArray[np.uint8], /) -> Scores:
        """(N, 48, 48) uint8 -> Scores with N rows, whose names are the card's labels.

        Raises DataError for any other array, ModelError where the model does not return probabilities.
        """
        images = require_faces(images)
        probs = np.empty((len(images), len(self.card.class_names)), np.float32)
        for rows in batches(len(images), self.batch):
            probs[rows] = self._run(np.ascontiguousarray(images[rows]))
        try:
            return Scores(probs, self.card.class_names)
        except ModelError as error:
            raise ModelError(f"{self._where}: {error}; the softmax must be inside the graph") from error

    def _run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        wanted = (len(images), len(self.card.class_names))
        try:
            (probs,) = self._session.run(["probs"], {"faces": images})
        except Exception as error:  # the errors of ONNX Runtime have no base class of their own
            raise ModelError(f"{self._where} failed on {len(images)} faces at once: {_line(error)}") from error
        if probs.shape != wanted:
            raise ModelError(f"{self._where} must return probs of shape {wanted}, one a label, got {probs.shape}")
        probs = np.asarray(probs, np.float32)
        return probs if self._ratio is None else corrected(probs, self._ratio)


def load(model: Path | str, *, threads: int = 0, prior: Prior | None = None) -> OnnxClassifier:
    """The classifier of a model that ships, by its name (`swift`), or of a model file, by its path (`./swift.onnx`).

    prior: how often each class is expected before a face is seen; None: as the model's card says.
    Raises ModelError where there is no such model, with the names there are, or the prior is none of that model's.
    """
    ships = shipped()
    if str(model) in ships:
        return OnnxClassifier(ships[str(model)].read_bytes(), threads=threads, prior=prior)
    if exists(model):
        return OnnxClassifier(model, threads=threads, prior=prior)
    near = difflib.get_close_matches(str(model), ships, n=1)
    guess = f"; did you mean {near[0]}?" if near else ""
    raise ModelError(f"no file and no model that ships is named {model}{guess} ({_ships(ships)})")


def models() -> list[ModelCard]:
    """The cards of the models that ship with mien, by name."""
    return [OnnxClassifier(file.read_bytes(), threads=1).card for file in shipped().values()]


def shipped() -> dict[str, Traversable]:
    """The files of the models that ship with mien, by the name that `load` takes."""
    folder = resources.files("mien") / "assets"
    files = [file for file in folder.iterdir() if file.name.endswith(".onnx")] if folder.is_dir() else []
    files = sorted((file for file in files if file.name not in _DETECTORS), key=lambda file: file.name)
    return {file.name.removesuffix(".onnx"): file for file in files}


def _ships(names: dict[str, Traversable]) -> str:
    return f"these ship: {', '.join(names)}" if names else "none ships"


def _read(path: Path) -> bytes:
    if path.is_dir():
        raise ModelError(f"{path} is a folder; a run becomes a model file with: mien export {path} -o model.onnx")
    try:
        with path.open("rb") as file:
            head = file.read(64)
            kind = kind_of(head)
            if kind is not None:
                raise ModelError(f"{path} must be a model file, got what is {kind}; {_ADVICE}")
            return head + file.read()
    except OSError as error:
        raise ModelError(f"cannot read the model {path}: {error.strerror or error}") from error


def _session(content: bytes, where: str, threads: int, providers: Sequence[str]) -> Any:
    import onnxruntime

    available = onnxruntime.get_available_providers()
    unknown = [provider for provider in providers if provider not in available]
    if unknown or not providers:
        raise ModelError(f"providers must be among {', '.join(available)}, got {', '.join(unknown) or 'none'}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is raised, and need not be printed as well
    try:
        return onnxruntime.InferenceSession(content, options, providers=list(providers))
    except Exception as error:  # the errors of ONNX Runtime have no base class of their own
        raise ModelError(
            f"{where} must be a model file, got a damaged or other one ({_line(error)}); {_ADVICE}"
        ) from error


def _card(session: Any, where: str) -> ModelCard:
    text = session.get_modelmeta().custom_metadata_map.get("mien")
    if text is None:
        ends = " -> ".join(_ends(each) for each in (session.get_inputs(), session.get_outputs()))
        raise ModelError(f"{where} must carry a card of mien, got an ONNX graph without one: {ends}; {_ADVICE}")
    try:
        card = ModelCard.from_json(text)
    except ModelError as error:
        raise ModelError(f"{where}: {error}") from error
    if not card.class_names or len({*card.class_names, *COLUMNS}) < len(card.class_names) + len(COLUMNS):
        raise ModelError(
            f"{where}: the labels of its card must be distinct names, and none of {', '.join(COLUMNS)};"
            f" got {list(card.class_names)}"
        )
    if card.side != FACE_SIDE:
        raise ModelError(f"{where}: the side of its card must be {FACE_SIDE} pixels, got {card.side}")
    return card


def _check_ends(session: Any, card: ModelCard, where: str) -> None:
    for which, ends, name, kind, shape in (
        ("input", session.get_inputs(), "faces", "tensor(uint8)", (FACE_SIDE, FACE_SIDE)),
        ("output", session.get_outputs(), "probs", "tensor(float)", (len(card.class_names),)),
    ):
        wanted = f"{name} {kind} ['N', {', '.join(map(str, shape))}], N free"
        if len(ends) != 1 or (ends[0].name, ends[0].type) != (name, kind) or not _free_then(ends[0].shape, shape):
            raise ModelError(f"{where} must have one {which}, {wanted}; got {_ends(ends)}; {_ADVICE}")


def _free_then(shape: list[int | str | None], wanted: tuple[int, ...]) -> bool:
    """Whether the first dimension is free and each other is the wanted number, or free."""
    if len(shape) != 1 + len(wanted):
        return False
    return all(not isinstance(size, int) or size == want for size, want in zip(shape, (None, *wanted), strict=True))


def _ends(ends: Any) -> str:
    return ", ".join(f"{end.name} {end.type} {end.shape}" for end in ends)


def _line(error: Exception) -> str:
    return str(error).strip().split("\n")[0].removeprefix("[ONNXRuntimeError] : ")


def _cpus() -> int:
    if hasattr(os, "sched_getaffinity"):  # Linux: a container may have fewer than the machine
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

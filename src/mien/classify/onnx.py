"""The classifier in a model file, and the models that ship. docs/model-file.md says what a model file holds."""

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

from mien.classify.card import ModelCard, read_metadata
from mien.classify.file_type import kind_of
from mien.classify.prior import Prior, corrected, prior_ratio
from mien.classify.session import ADVICE, cpu_count, first_line, make_session, run_session
from mien.errors import ModelError
from mien.io.atomic_write import exists
from mien.types import COLUMNS, FACE_SIDE, Scores, batches, require_faces

_DETECTORS = ("yunet.onnx", "yunet-early.onnx", "yunet-late.onnx")  # what ships beside the classifiers
_INHERITED: list[Any] = []  # sessions of a parent process: to end one would wait for threads that are not here


class OnnxClassifier:
    """The classifier in a model file. The file is checked whole when this is made, by a trial run too.

    May be called from several threads, pickled, copied, and used in forked processes: the file's bytes and the
    settings go along, and each process makes a session of its own.

    Parameters
    ----------
    source
        The path of a model file, or its bytes.
    threads
        CPU threads that compute one batch; 0: as many as there are CPUs for this process.
    batch
        Faces that are computed at a time, whatever is asked for at once; so memory stays flat.
    providers
        Of ONNX Runtime, best first; None: the CPU.
    prior
        How often each class is expected before a face is seen, where that is not as the file says: the name of a prior
        in its card (`uniform`), or a number for each class.

    Raises
    ------
    ModelError
        Where the file is no model of mien, or a setting is out of range.
    """

    def __init__(
        self,
        source: Path | str | bytes,
        *,
        threads: int = 0,
        batch: int = 256,
        providers: Sequence[str] | None = None,
        prior: Prior | None = None,
    ) -> None:
        if threads < 0:
            raise ModelError(f"threads must be 0 (as many as there are CPUs) or more, got {threads}")
        if batch < 1:
            raise ModelError(f"batch must be 1 or more, got {batch}")
        where = "the model" if isinstance(source, bytes) else str(source)
        content = source if isinstance(source, bytes) else _read(Path(source))
        self.threads = threads or cpu_count()
        self.batch = batch
        self._ratio: NDArray[np.float64] | None = None  # what is in the file is tried as it is
        self._load(where, content, None if providers is None else tuple(providers))
        _check_ends(self._session, self.card, where)
        self(np.zeros((2, FACE_SIDE, FACE_SIDE), np.uint8))
        if prior is not None:
            self._ratio = prior_ratio(self.card, prior)

    def _load(self, where: str, content: bytes, providers: tuple[str, ...] | None) -> None:
        self._where, self._content, self._providers = where, content, providers
        self._process = os.getpid()
        self._session = make_session(content, providers=providers, threads=self.threads, name=where)
        self.card = _card(content, self._session, where)
        self.hash = hashlib.sha256(content).hexdigest()

    def __getstate__(self) -> tuple[Any, ...]:
        return self._where, self._content, self._providers, self.threads, self.batch, self._ratio

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        where, content, providers, self.threads, self.batch, self._ratio = state
        self._load(where, content, providers)

    @property
    def name(self) -> str:
        """The model's name, from its card."""
        return self.card.name

    @property
    def content(self) -> bytes:
        """Return the content of the model file."""
        return self._content

    def __repr__(self) -> str:
        return f"<OnnxClassifier {self.name}: {len(self.card.class_names)} classes, {self.threads} threads>"

    def __call__(self, images: NDArray[np.uint8], /) -> Scores:
        """Classify faces, (N, 48, 48) uint8; the scores' classes are those of the card.

        Raises DataError for any other array, ModelError where the model does not return probabilities.
        """
        images = require_faces(images)
        if os.getpid() != self._process:  # a fork: the parent's threads, and so its session, do not work here
            _INHERITED.append(self._session)
            self._load(self._where, self._content, self._providers)
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
            (probs,) = run_session(self._session, "faces", images)
        except Exception as error:  # the errors of ONNX Runtime have no base class of their own
            raise ModelError(f"{self._where} failed on {len(images)} faces at once: {first_line(error)}") from error
        if probs.shape != wanted:
            raise ModelError(f"{self._where} must return probs of shape {wanted}, one a class, got {probs.shape}")
        probs = np.asarray(probs, np.float32)
        return probs if self._ratio is None else corrected(probs, self._ratio)


def load(
    model: Path | str,
    *,
    threads: int = 0,
    batch: int = 256,
    providers: Sequence[str] | None = None,
    prior: Prior | None = None,
) -> OnnxClassifier:
    """Load a model that ships, by its name (`swift`), or a model file, by its path (`./swift.onnx`).

    The other parameters are those of `OnnxClassifier`.
    Raises ModelError where there is no such model, with the names there are, or the prior is none of that model's.
    """
    ships = shipped()
    source = ships[str(model)].read_bytes() if str(model) in ships else model if exists(model) else None
    if source is not None:
        return OnnxClassifier(source, threads=threads, batch=batch, providers=providers, prior=prior)
    near = difflib.get_close_matches(str(model), ships, n=1)
    guess = f"; did you mean {near[0]}?" if near else ""
    names = f"these ship: {', '.join(ships)}" if ships else "none ships"
    raise ModelError(f"no file and no model that ships is named {model}{guess} ({names})")


def models() -> list[ModelCard]:
    """Return the cards of the models that ship with mien, by name; nothing is loaded for them but their files."""
    cards = [read_metadata(file.read_bytes()).get("mien", "") for file in shipped().values()]
    return [ModelCard.from_json(card) for card in cards]


def shipped() -> dict[str, Traversable]:
    """Return the files of the models that ship with mien, by the name that `load` takes."""
    folder = resources.files("mien") / "assets"
    files = [file for file in folder.iterdir() if file.name.endswith(".onnx")] if folder.is_dir() else []
    files = sorted((file for file in files if file.name not in _DETECTORS), key=lambda file: file.name)
    return {file.name.removesuffix(".onnx"): file for file in files}


def _read(path: Path) -> bytes:
    if path.is_dir():
        raise ModelError(f"{path} is a folder; a run becomes a model file with: mien export {path} -o model.onnx")
    try:
        with path.open("rb") as file:
            head = file.read(64)
            kind = kind_of(head)
            if kind is not None:
                raise ModelError(f"{path} must be a model file, got {kind}; {ADVICE}")
            return head + file.read()
    except OSError as error:
        raise ModelError(f"cannot read the model {path}: {error.strerror or error}") from error


def _card(content: bytes, session: Any, where: str) -> ModelCard:
    text = read_metadata(content).get("mien")
    if text is None:
        ends = " -> ".join(_ends(each) for each in (session.get_inputs(), session.get_outputs()))
        raise ModelError(f"{where} must carry a card of mien, got an ONNX graph without one: {ends}; {ADVICE}")
    try:
        card = ModelCard.from_json(text)
    except ModelError as error:
        raise ModelError(f"{where}: {error}") from error
    names = card.class_names
    distinct = len({*names, *COLUMNS}) == len(names) + len(COLUMNS)
    if not names or not distinct or not all(name and name.isprintable() for name in names):
        taken = ", ".join(COLUMNS)
        raise ModelError(
            f"{where}: the class names of its card must be distinct, printable, and none of {taken}; got {[*names]}"
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
            raise ModelError(f"{where} must have one {which}, {wanted}; got {_ends(ends)}; {ADVICE}")


def _free_then(shape: list[int | str | None], wanted: tuple[int, ...]) -> bool:
    """Tell whether the first dimension is free and each other is the wanted number, or free."""
    if len(shape) != 1 + len(wanted):
        return False
    return all(not isinstance(size, int) or size == want for size, want in zip(shape, (None, *wanted), strict=True))


def _ends(ends: Any) -> str:
    return ", ".join(f"{end.name} {end.type} {end.shape}" for end in ends)

"""Arguments and options that several commands have: one spelling, one help text and one placeholder each."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from mien.classify.ensemble import Ensemble
from mien.classify.onnx import load
from mien.classify.prior import parse_prior
from mien.classify.tta import Tta as TtaName
from mien.classify.tta import with_tta
from mien.cli import console
from mien.pipeline.predictor import DEFAULT_MODEL
from mien.types import Classifier

# The panels of a command's help
INPUT, OUTPUT, MODEL, VIDEO, THRESHOLDS = "Input", "Output", "Model", "Video", "Thresholds"
TRAINING, HARDWARE, NETWORK = "Training", "Hardware", "Network"

RECIPE = (
    "A TOML file, or the name of a recipe that ships: plain, swift, swift-nano, report/final-18 and others. "
    "`mien show plain` prints one."
)

Form = Literal["fer2013", "folder", "flat", "parquet"]


def silence(quiet: bool) -> None:
    """Leave remarks and progress out, where that is asked for; errors are still said."""
    console.stderr.quiet = quiet


def option(*names: str, panel: str, metavar: str, help: str, **more: Any) -> Any:  # noqa: A002  # typer's word
    """An option of a command's help, in one of its panels."""
    return typer.Option(*names, rich_help_panel=panel, metavar=metavar, help=help, **more)


def argument(metavar: str, help: str, **more: Any) -> Any:  # noqa: A002  # typer's word
    """An argument; a default that is None is not shown."""
    return typer.Argument(metavar=metavar, help=help, **more)


def flag(*names: str, panel: str, help: str, **more: Any) -> Any:  # noqa: A002  # typer's word
    """An option that takes no value."""
    return typer.Option(*names, rich_help_panel=panel, metavar="", help=help, **more)


def out(metavar: str, help: str, *, stdout: bool = False) -> Any:  # noqa: A002  # typer's word
    """Make the option -o, --out. stdout: whether `-` stands for standard output."""
    callback = None if stdout else _require_name
    return option("-o", "--out", panel=OUTPUT, metavar=metavar, help=help, callback=callback)


def _require_name(path: Path | None) -> Path | None:
    if path is not None and str(path) == "-":
        raise typer.BadParameter("must be the name of a file or folder; nothing here goes to standard output")
    return path


Faces = Annotated[Path, argument("FACES", "A file of faces, as `mien data import` writes it.")]
FacesOption = Annotated[
    Path, option("--faces", panel=INPUT, metavar="FACES", help="A file of faces, as `mien data import` writes it.")
]
MeasuredFaces = Annotated[
    Path | None,
    option(
        "--faces",
        panel=INPUT,
        metavar="FACES",
        help="Measure the finished file on the valid faces of this file, and note that in its card.",
        show_default=False,
    ),
]
Models = Annotated[
    list[str],
    option(
        "-m",
        "--model",
        panel=MODEL,
        metavar="MODEL",
        help="A model that ships, by its name, or a model file. Several, each with -m, are averaged.",
    ),
]
Tta = Annotated[
    TtaName,
    option(
        "--tta",
        panel=MODEL,
        metavar="NAME",
        help="Average over changed copies of each face: none, mirror (2), five-crop (5) or ten-crop (10).",
    ),
]
PriorText = Annotated[
    str,
    option(
        "--prior",
        panel=MODEL,
        metavar="NAME",
        help="How common each expression is expected to be: everyday, uniform, ferplus or fer2013, or "
        "angry=0.1,happy=0.3 and so on for all. Default: as the model's card says.",
        show_default=False,
    ),
]
Device = Annotated[
    Literal["auto", "cpu", "cuda", "directml", "coreml"],
    option(
        "--device",
        panel=HARDWARE,
        metavar="NAME",
        help="Compute on auto (CUDA where onnxruntime-gpu is installed, else the CPU), cpu, cuda, directml or coreml; "
        "where one of these does not start, on the CPU, and a line says so.",
    ),
]
Threads = Annotated[
    int, option("--threads", panel=HARDWARE, metavar="N", help="Processor threads; 0: as many as suit.", min=0)
]
Changes = Annotated[
    list[str] | None,
    option(
        "--set",
        panel=TRAINING,
        metavar="KEY=VALUE",
        help="Replace a setting of the recipe, in TOML: optim.lr=0.2. May be repeated.",
        show_default=False,
    ),
]
CardName = Annotated[
    str, option("--name", panel=MODEL, metavar="NAME", help="The model's name in its card. Default: the file's.")
]
Note = Annotated[str, option("--note", panel=MODEL, metavar="TEXT", help="A note for users: data, licence, limits.")]
Json = Annotated[bool, flag("--json", panel=OUTPUT, help="Print the result as one JSON document.")]
Quiet = Annotated[
    bool,
    flag("-q", "--quiet", panel=OUTPUT, help="Leave out remarks and progress.", callback=silence, expose_value=False),
]

DEFAULT_MODELS = [DEFAULT_MODEL]


def classifier_of(
    models: list[str],
    *,
    tta: TtaName = "none",
    prior: str = "",
    threads: int = 0,
    providers: Sequence[str] | None = None,
) -> Classifier:
    """Load the classifier that the options --model, --tta and --prior ask for."""
    expected = parse_prior(prior) if prior else None
    loaded = [load(model, threads=threads, providers=providers, prior=expected) for model in models]
    classifier: Classifier = loaded[0] if len(loaded) == 1 else Ensemble(*loaded)
    return with_tta(classifier, tta)

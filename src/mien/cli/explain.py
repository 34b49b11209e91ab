"""`mien explain`: which areas of a face speak for its expression."""

from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from mien.classify.session import providers_of
from mien.classify.tta import with_tta
from mien.cli.console import add_row, remark, say, say_json, stdout, table
from mien.cli.options import (
    DEFAULT_MODELS,
    INPUT,
    MODEL,
    OUTPUT,
    Device,
    Json,
    PriorText,
    Quiet,
    Threads,
    Tta,
    argument,
    classifier_of,
    flag,
    option,
)
from mien.cli.sources import require_pictures
from mien.detect.align import crop_faces
from mien.detect.yunet import YuNet
from mien.errors import DataError, ModelError
from mien.evaluation.saliency import MASKS, Method, Saliency
from mien.evaluation.saliency import explain as explain_face
from mien.io.atomic_write import require_suffix, require_writable
from mien.io.image import read_picture
from mien.io.pixels import to_face
from mien.types import Classifier
from mien.visualize.annotate import PICTURE_SUFFIXES, save_picture
from mien.visualize.heat_map import HeatMapWords, heat_map_picture


def explain(
    picture: Annotated[Path, argument("PICTURE", "A picture with a face.")],
    draw: Annotated[
        Path | None,
        option("--draw", panel=OUTPUT, metavar="FILE", help="Draw the face and the map: .png or .jpg."),
    ] = None,
    expression: Annotated[
        str,
        option(
            "--expression",
            panel=INPUT,
            metavar="NAME",
            help="Explain this expression. Default: the one that the model names.",
        ),
    ] = "",
    face: Annotated[
        int, option("--face", panel=INPUT, metavar="N", help="Explain this face; 1 is the largest.", min=1)
    ] = 1,
    cropped: Annotated[
        bool, flag("--cropped", panel=INPUT, help="Take the picture as one face that is cropped already.")
    ] = False,
    method: Annotated[
        Method,
        option(
            "--method",
            panel=INPUT,
            metavar="NAME",
            help="rise (random masks), occlusion (a window that moves) or grad-cam (gradients; of a run's folder).",
        ),
    ] = "rise",
    masks: Annotated[
        int, option("--masks", panel=INPUT, metavar="N", help="Draw so many masks for rise.", min=2)
    ] = MASKS,
    seed: Annotated[int, option("--seed", panel=INPUT, metavar="N", help="Draw masks by this seed.", min=0)] = 0,
    model: Annotated[
        list[str],
        option(
            "-m",
            "--model",
            panel=MODEL,
            metavar="MODEL",
            help="A model that ships, by its name, a model file, or the folder of a run. Several files, each with -m, "
            "are averaged.",
        ),
    ] = DEFAULT_MODELS,
    tta: Tta = "none",
    prior: PriorText = "",
    device: Device = "auto",
    threads: Threads = 0,
    json: Json = False,
    _quiet: Quiet = False,
) -> None:
    """Show which areas of a face speak for its expression.

    Examples
    --------
    mien explain photo.jpg --draw why.png
    mien explain photo.jpg --expression sad -m swift-nano
    mien explain photo.jpg --method grad-cam -m runs/plain
    """
    require_pictures([str(picture)], lists=False)
    require_writable(draw, inputs=(picture,))
    if draw is not None:
        require_suffix(draw, PICTURE_SUFFIXES, "a picture")
    if any(Path(each).is_dir() for each in model):
        _require_run_alone(model, prior=prior, device=device)
        classifier = with_tta(_load_run(Path(model[0]), threads), tta)
    else:
        classifier = classifier_of(model, tta=tta, prior=prior, threads=threads, providers=providers_of(device))
    crop, count = _find_face(picture, face, cropped=cropped)
    saliency = explain_face(classifier, crop, expression=expression or None, method=method, masks=masks, seed=seed)
    which = f"{picture.name}" if count == 1 else f"{picture.name}, face {face} of {count}"
    if json:
        say_json({"source": str(picture), "face": face, "method": method, "seed": seed} | saliency.to_dict())
    else:
        _show(saliency, which)
    if draw is not None:
        save_picture(_drawn(saliency, which), draw)
        remark(f"wrote {draw}")


def _require_run_alone(models: list[str], *, prior: str, device: str) -> None:
    """Refuse what only model files can do beside the folder of a run. Raises ModelError."""
    wrong = "several models" if len(models) > 1 else "--prior" if prior else f"--device {device}"
    if len(models) > 1 or prior or device not in ("auto", "cpu"):
        raise ModelError(
            f"the folder of a run goes without {wrong}; make it a model file with: mien export RUN -o FILE"
        )


def _load_run(run: Path, threads: int) -> Classifier:
    from mien.train import NetClassifier  # torch, and only the folder of a run needs it

    return NetClassifier.load(run, threads=threads)


def _find_face(path: Path, number: int, *, cropped: bool) -> tuple[NDArray[np.uint8], int]:
    """Return a face of a picture, (48, 48) uint8, and how many the picture has. Raises DataError."""
    pixels = read_picture(path)
    if cropped:
        return to_face(pixels), 1
    faces = YuNet()(pixels)
    if not len(faces):
        raise DataError(f"no face was found in {path}; where the picture is a face crop, add --cropped")
    if number > len(faces):
        must = "1" if len(faces) == 1 else f"1 to {len(faces)}"
        raise DataError(f"--face must be {must} for {path}, got {number}")
    chosen: NDArray[np.uint8] = crop_faces(pixels, faces[number - 1 : number])[0]
    return chosen, len(faces)


def _show(saliency: Saliency, which: str) -> None:
    named = saliency.scores.names[0]
    say(f"{which}: {_answer(saliency)}" + ("" if named == saliency.expression else f" (the model says {named})"))
    say(_where(saliency))
    say()
    shown = table("test", "deletion", "insertion", "insertion - deletion")
    tests = (
        ("this map", saliency.faithfulness),
        ("a centred blob", saliency.of_blob),
        ("random maps", saliency.of_random),
    )
    for name, test in tests:
        add_row(shown, [name, f"{test.deletion:.3f}", f"{test.insertion:.3f}", f"{test.gain:+.3f}"])
    stdout.print(shown)
    say()
    say(_verdict(saliency))


def _drawn(saliency: Saliency, which: str) -> NDArray[np.uint8]:
    upper, middle, lower = saliency.thirds
    own, blob, random = saliency.faithfulness, saliency.of_blob, saliency.of_random
    lines = (
        f"for it: {upper:.0%} upper, {middle:.0%} middle, {lower:.0%} lower third",
        f"deletion {own.deletion:.2f} (blob {blob.deletion:.2f}, random {random.deletion:.2f}), low is good",
        f"insertion {own.insertion:.2f} (blob {blob.insertion:.2f}, random {random.insertion:.2f}), high is good",
        f"insertion - deletion {own.gain:+.2f} (blob {blob.gain:+.2f}, random {random.gain:+.2f})",
        f"by this, the map is {saliency.verdict}",
    )
    words = HeatMapWords(
        title=f"{_answer(saliency)}: what speaks for it ({which}, {saliency.model})",
        face="what the model sees",
        map=f"orange speaks for {saliency.expression}, blue against it",
        lines=lines,
    )
    probs = dict(zip(saliency.scores.class_names, saliency.scores.probs[0].tolist(), strict=True))
    return heat_map_picture(saliency.face, saliency.map, probs, words)


def _answer(saliency: Saliency) -> str:
    return f"{saliency.expression} {saliency.probability:.0%}"


def _where(saliency: Saliency) -> str:
    upper, middle, lower = saliency.thirds
    return (
        f"what speaks for {saliency.expression}: {upper:.0%} in the upper third, {middle:.0%} in the middle,"
        f" {lower:.0%} in the lower one"
    )


def _verdict(saliency: Saliency) -> str:
    near_blob = saliency.faithfulness.gain > saliency.bars[1]
    so = f"the middle of the face says as much to {saliency.model}" if near_blob else "do not read it"
    so = f"{saliency.model} relies on what it shows" if saliency.is_meaningful else so
    return (
        f"By insertion minus deletion, the map is {saliency.verdict}: {so}."
        f"\nBetter begins at {max(saliency.bars):+.3f}: half a standard deviation of random maps above the blob, and"
        f" two above their mean; it is {saliency.spread:.3f}."
    )

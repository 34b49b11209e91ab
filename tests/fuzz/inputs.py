"""What the fuzzing begins with: for each reader some sound files, small and drawn here."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from clips import Actor, along, write_clip
from mien.classify.onnx import load
from mien.data.audit.clean import Review, load_review
from mien.data.audit.findings import load_audit
from mien.data.audit.run import audit
from mien.data.decode import read_face
from mien.data.formats.fer2013_csv import read_fer2013, write_fer2013
from mien.data.formats.ferplus import add_votes
from mien.data.formats.npz import load_faces, load_history, save_faces
from mien.data.formats.parquet import read_parquet, write_parquet
from mien.data.scores_file import FaceScores, load_scores, save_scores
from mien.io.frame import FrameSelection
from mien.io.image import read_picture
from mien.io.reader import read_frames
from mien.io.source import find_sources
from mien.io.video_reader import count_frames
from mien.labels import EXPRESSIONS, VOTES
from mien.train.recipe_toml import load_recipe
from mien.train.run.checkpoint import Checkpoint, Epoch, RunFacts, load_checkpoint, save_checkpoint
from mien.types import Scores
from support import random_faces, tiny_model

FACES = random_faces(12, votes=True)


@dataclass(frozen=True)
class Reader:
    """A reader of files: how it is called, and how its sound files are made."""

    read: Callable[[Path], object]
    write: Callable[[Path], object]
    suffix: str


def _picture(mode: str, **options: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        y, x = np.mgrid[0:40, 0:60]
        colours = np.stack([x * 4, y * 6, 255 - x * 2 - y, 100 + x], axis=2).astype(np.uint8)
        if mode == "I;16":
            image = Image.fromarray((x * 1000).astype(np.uint16))
        elif mode == "F":
            image = Image.fromarray((x / 60).astype(np.float32))
        else:
            image = Image.fromarray(colours, "RGBA").convert(mode)
        if options.get("save_all"):
            options["append_images"] = [image.rotate(90), image.rotate(180)]
        exif = Image.Exif()
        exif[0x0112] = 6
        image.save(path, exif=exif, **options)

    return write


def _heic(path: Path) -> None:
    import pillow_heif

    pillow_heif.from_pillow(Image.new("RGB", (64, 48), "orange")).save(path)


def _video(path: Path) -> None:
    write_clip(path, [Actor(along((0, 50, 30), (1, 60, 40)))], duration=0.4, size=(96, 64), sound=True)


def _read_video(path: Path) -> None:
    count_frames(str(path))
    for number, _ in enumerate(read_frames(str(path), selection=FrameSelection(every=0.1))):
        if number > 20:
            return


def _ferplus(path: Path) -> None:
    rows = [f"Training,fer{number:07d}.png," + ",".join("1" * len(VOTES)) for number in range(12)]
    names = ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF"]
    path.write_text("Usage,Image name," + ",".join(names) + "\n" + "\n".join(rows) + "\n")


def _fer_faces() -> Any:
    faces = random_faces(12, split="train")
    return type(faces)(faces.images, faces.labels, faces.splits, np.array([f"fer{row:07d}" for row in range(12)]))


def _write_recipe(path: Path) -> None:
    recipe = Path(__file__).parents[2] / "recipes" / "swift-fer2013.toml"
    path.write_text(recipe.read_text(encoding="utf-8"), encoding="utf-8")


def _write_checkpoint(path: Path) -> None:
    epoch = Epoch(1, 48, 1.5, 1.4, 0.5, 0.1, 2.0, 100.0)
    tensors = {"model.weight": torch.ones(3, 4), "average.weight": torch.zeros(3)}
    facts = RunFacts("seed = 1\n", "ab", EXPRESSIONS, train_faces=10, valid_faces=2)
    save_checkpoint(path, Checkpoint(tensors, [epoch], facts, {}))


def _write_scores(path: Path) -> None:
    probs = np.full((12, 7), 1 / 7, np.float32)
    save_scores(FaceScores(FACES.ids, Scores(probs), held_out=True), path)


def _read_model(path: Path) -> None:
    load(path, threads=1)(FACES.images[:2])


def _write_npz(path: Path) -> None:
    save_faces(FACES, path, history=["imported"])


def _read_npz(path: Path) -> None:
    load_faces(path)
    load_history(path)


def _write_audit(path: Path) -> None:
    twice = random_faces(12, labels=np.zeros(12, np.int64))
    images = np.concatenate([twice.images[:6], twice.images[:6]])
    path.write_text(audit(replace(twice, images=images), kinds=("blank", "duplicate")).to_json())


def _read_list(path: Path) -> None:
    list(find_sources(f"@{path}"))


READERS: dict[str, Reader] = {
    "png": Reader(read_picture, _picture("RGBA"), ".png"),
    "png16": Reader(read_picture, _picture("I;16"), ".png"),
    "palette": Reader(read_picture, _picture("P"), ".png"),
    "jpeg": Reader(read_picture, _picture("RGB", format="JPEG"), ".jpg"),
    "progressive": Reader(read_picture, _picture("CMYK", format="JPEG", progressive=True), ".jpg"),
    "gif": Reader(read_picture, _picture("P", format="GIF", save_all=True), ".gif"),
    "webp": Reader(read_picture, _picture("RGBA", format="WEBP", save_all=True), ".webp"),
    "tiff": Reader(read_picture, _picture("RGB", format="TIFF", compression="tiff_lzw"), ".tif"),
    "tiff-jpeg": Reader(read_picture, _picture("RGB", format="TIFF", compression="jpeg"), ".tif"),
    "tiff-float": Reader(read_picture, _picture("F", format="TIFF"), ".tif"),
    "bmp": Reader(read_picture, _picture("RGB", format="BMP"), ".bmp"),
    "ppm": Reader(read_picture, _picture("RGB", format="PPM"), ".ppm"),
    "avif": Reader(read_picture, _picture("RGB", format="AVIF"), ".avif"),
    "jp2": Reader(read_picture, _picture("RGB", format="JPEG2000"), ".jp2"),
    "heic": Reader(read_picture, _heic, ".heic"),
    "face": Reader(read_face, lambda path: Image.fromarray(FACES.images[0]).save(path), ".png"),
    "mp4": Reader(_read_video, _video, ".mp4"),
    "mkv": Reader(_read_video, _video, ".mkv"),
    "avi": Reader(_read_video, _video, ".avi"),
    "list": Reader(_read_list, lambda path: path.write_text("a.png\n\nwebcam:0\n"), ".txt"),
    "npz": Reader(_read_npz, _write_npz, ".npz"),
    "scores": Reader(load_scores, _write_scores, ".npz"),
    "parquet": Reader(read_parquet, lambda path: write_parquet(FACES, path), ".parquet"),
    "fer2013": Reader(read_fer2013, lambda path: write_fer2013(_fer_faces(), path), ".csv"),
    "ferplus": Reader(lambda path: add_votes(_fer_faces(), path), _ferplus, ".csv"),
    "audit": Reader(load_audit, _write_audit, ".json"),
    "review": Reader(load_review, lambda path: path.write_text(Review("ab", {"a": "drop"}).to_json()), ".json"),
    "model": Reader(_read_model, tiny_model, ".onnx"),
    "recipe": Reader(load_recipe, _write_recipe, ".toml"),
    "checkpoint": Reader(load_checkpoint, _write_checkpoint, ".safetensors"),
}

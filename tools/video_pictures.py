"""Draws the pictures of docs/video.md: a frame of a video as `mien predict --draw` marks it, and its timeline.

    python tools/video_pictures.py docs/

The video is made here, from public-domain pictures of scikit-image: the astronaut Eileen Collins (NASA), pasted three
times, as she is, mirrored, and paler, before a rocket on its way to the launch pad. The three go their ways, the light
fades and returns, the third person comes late and the second leaves.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from mien import Predictor, draw
from mien.io.video_writer import video_writer
from mien.visualize.annotate import save_picture
from mien.visualize.timeline import Timeline

WIDTH, HEIGHT, RATE, SECONDS = 1280, 720, 25, 12
SHOWN = 6.4  # seconds: the frame in the picture
HEAD = (112, 8, 338, 234)  # in the astronaut's picture: left, top, right, bottom


def head(side: int, *, mirror: bool = False, pale: bool = False) -> Image.Image:
    """Her head in an oval with soft edges."""
    image = Image.fromarray(skimage.data.astronaut()).crop(HEAD).resize((side, side), Image.Resampling.LANCZOS)
    if pale:
        image = Image.blend(image, Image.new("RGB", image.size, (200, 190, 180)), 0.35)
    rows, columns = np.indices((side, side)) / side - 0.5
    solid = ((1 - np.hypot(columns / 0.42, rows / 0.48)) * 10).clip(0, 1) * 255
    image.putalpha(Image.fromarray(solid.astype(np.uint8)))
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirror else image


def scenes() -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """The frames of the video, with their times."""
    rocket = Image.fromarray(skimage.data.rocket()).resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    people = [head(430), head(300, mirror=True), head(250, pale=True)]
    for number in range(SECONDS * RATE):
        seconds = number / RATE
        places = [
            (90 + 60 * np.sin(seconds), 180 + 30 * np.sin(seconds * 1.7)),
            (620 + 40 * np.sin(seconds * 0.8), 260 + max(0.0, seconds - 8) ** 2 * 60),
            (1300 - 330 * np.tanh(max(0.0, seconds - 3)), 90 + 40 * np.cos(seconds)),
        ]
        image = rocket.copy()
        for person, place in zip(people, places, strict=True):
            image.paste(person, (round(place[0]), round(place[1])), person)
        dark = float(np.exp(-((seconds - 9.5) ** 2)))
        if dark > 0.02:
            image = image.filter(ImageFilter.GaussianBlur(4 * dark)).point(
                lambda value, dark=dark: value * (1 - 0.6 * dark)
            )
        yield seconds, np.asarray(image)


def main() -> None:
    """Write video.jpg and timeline.png into a folder."""
    folder = Path(sys.argv[1])
    with TemporaryDirectory() as place:
        path = Path(place) / "launch.mp4"
        with video_writer(path) as writer:
            for seconds, picture in scenes():
                writer.write(picture, seconds=seconds)
        timeline = Timeline()
        for frame, prediction in Predictor().stream_with_frames(path):
            timeline.add(prediction, frame.picture)
            if abs(frame.seconds - SHOWN) < 0.5 / RATE:
                save_picture(draw(frame.picture, prediction), folder / "video.jpg")
        timeline.write(folder / "timeline.png")


if __name__ == "__main__":
    main()

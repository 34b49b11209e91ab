"""Measure how many pictures of a camera the page without uploads reads in a second, in headless Chromium.

    PYTHONPATH=src:tests python benchmarks/web.py [SECONDS]

Build the page first: `make web`. The camera shows the portrait that ships, 640x480 at 30 pictures a second. Detection,
cropping and classification take one thread. The yardstick is Python's predictor on the same picture with the same
settings of the detector, one thread too.
"""

import io
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

import mien
from browser import browsing
from mien.detect.yunet import YuNet

DIST = Path(__file__).parents[1] / "web" / "dist"
ROUNDS = 3
COUNT = """
const {prototype} = CanvasRenderingContext2D, real = prototype.getImageData;  // which is called once for each picture
window.pictures = 0;
prototype.getImageData = function (...more) { window.pictures++; return real.apply(this, more); };
"""


class Quiet(SimpleHTTPRequestHandler):
    """Python's own server of files, without its log."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def hosting(folder: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()


def frame() -> Image.Image:
    """The portrait in the middle of a picture of a camera."""
    portrait = Image.open(io.BytesIO((files("mien") / "assets" / "portrait.jpg").read_bytes())).convert("RGB")
    picture = Image.new("RGB", (640, 480), "grey")
    picture.paste(portrait.resize((480, 480)), (80, 0))
    return picture


def python_rate(picture: Image.Image, seconds: float) -> tuple[float, float]:
    quick = YuNet(min_face=48, max_side=640, turned=False)
    predictor = mien.Predictor(mien.load("swift-nano", threads=1), detector=quick)
    pixels = np.asarray(picture)
    predictor(pixels)
    start, used, pictures = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() < start + seconds:
        predictor(pixels)
        pictures += 1
    return pictures / (time.perf_counter() - start), 1000 * (time.process_time() - used) / pictures


def count(page: webdriver.Chrome) -> int:
    return int(page.execute_script("return window.pictures"))


def cpu_seconds(process: int) -> float:
    """The CPU time of a process and of all that it started and that still run."""
    children = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        children.setdefault(int(words[1]), []).append((int(stat.parent.name), int(words[11]) + int(words[12])))
    ticks, left = 0, [process]
    while left:
        for child, used in children.get(left.pop(), []):
            ticks += used
            left.append(child)
    return ticks / os.sysconf("SC_CLK_TCK")


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5
    picture = frame()
    with tempfile.TemporaryDirectory() as name, hosting(DIST) as address:
        folder = Path(name)
        picture.save(folder / "camera.jpg", quality=90)
        (folder / "camera.jpg").rename(folder / "camera.mjpeg")
        camera = f"use-file-for-fake-video-capture={folder / 'camera.mjpeg'}"
        flags = ("use-fake-ui-for-media-stream", "use-fake-device-for-media-stream", camera)
        with browsing(folder, *flags) as page:
            page.get(address)
            page.find_element(By.ID, "camera").click()
            told = page.find_element(By.ID, "rate")
            WebDriverWait(page, 60).until(lambda _: "a second" in told.text)
            page.execute_script(COUNT)
            for _ in range(ROUNDS):
                before, used, start = count(page), cpu_seconds(page.service.process.pid), time.perf_counter()
                time.sleep(seconds)
                pictures, took = count(page) - before, time.perf_counter() - start
                cpu = cpu_seconds(page.service.process.pid) - used
                print(
                    f"page: {pictures / took:.1f} pictures a second, {1000 * cpu / pictures:.0f} ms of CPU a picture "
                    f"in all processes of Chromium; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
                )
            print(page.find_element(By.ID, "status").text)
            page.find_element(By.ID, "camera").click()
        for _ in range(ROUNDS):
            rate, cpu = python_rate(picture, seconds / 2)
            print(f"Python: {rate:.1f} pictures a second, {cpu:.0f} ms of CPU a picture")


if __name__ == "__main__":
    main()

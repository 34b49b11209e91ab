"""The page that uploads nothing, in a real browser, from a web server of plain files and from `mien serve`."""

import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

import mien
from browser import console_errors, requested
from clips import Actor, along, at, write_clip
from golden import BOX, assert_same_rows, expected, pictures
from mien.io.row_writers import round_row
from pages import PORTRAIT, browsing_with_camera, choose, saved_rows, summaries, wait_for_status
from serving import serving
from support import run_mien

pytestmark = [pytest.mark.browser, pytest.mark.node]


class _Quiet(SimpleHTTPRequestHandler):
    """Python's own server of files, without its log."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def _hosting(folder: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that downloads go to."""
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="module")
def page(dist: Path, folder: Path) -> Iterator[webdriver.Chrome]:
    """The page, from a web server of plain files; in the end nothing stands on its console."""
    with _hosting(dist) as address, browsing_with_camera(folder) as driver:
        driver.get(address)
        yield driver
        assert console_errors(driver) == []


def test_thirty_pictures_give_the_rows_of_python(page: webdriver.Chrome, folder: Path, tmp_path: Path) -> None:
    for name, picture in pictures().items():
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
        choose(page, tmp_path / f"{name}.png")
        if not expected()[name]:
            wait_for_status(page, "No faces.")
            continue
        WebDriverWait(page, 120, 0.05).until(lambda driver: driver.find_element(By.ID, "results").is_displayed(), name)
        rows = saved_rows(page, folder, f"{name}.csv")
        assert {row["source"] for row in rows} == {f"{name}.png"}
        assert_same_rows(name, rows)


def test_a_photo_gives_the_rows_of_python(page: webdriver.Chrome, folder: Path) -> None:
    choose(page, PORTRAIT)
    wait_for_status(page, "1 face")
    (row,) = saved_rows(page, folder, "portrait.csv")
    (want,) = (round_row(row) for row in mien.Predictor("swift-nano")(PORTRAIT).rows())
    assert list(row) == list(want)
    assert all(abs(float(row[side]) - float(want[side])) < 1 for side in BOX)
    assert all(abs(float(row[name]) - float(want[name])) < 0.01 for name in ("happy", "sad", "neutral", "confidence"))
    assert (row["expression"], row["quality"]) == (want["expression"], want["quality"])


def test_a_photo_too_large_for_a_canvas_keeps_its_size(page: webdriver.Chrome, folder: Path, tmp_path: Path) -> None:
    large = Image.new("RGB", (5000, 4000), "grey")
    with Image.open(PORTRAIT) as image:
        large.paste(image.convert("RGB").resize((2048, 2048)), (2000, 1000))
    large.save(tmp_path / "large.png", compress_level=1)
    choose(page, tmp_path / "large.png")
    wait_for_status(page, "1 face")
    (row,) = saved_rows(page, folder, "large.csv")
    ((left, top, right, bottom),) = mien.predict(large).faces.boxes.tolist()
    assert abs((float(row["left"]) + float(row["right"])) - (left + right)) < 40
    assert abs((float(row["top"]) + float(row["bottom"])) - (top + bottom)) < 40
    assert abs((float(row["right"]) - float(row["left"])) / (right - left) - 1) < 0.1


def test_a_clip_is_read_frame_by_frame(page: webdriver.Chrome, folder: Path, tmp_path: Path) -> None:
    still, moving = Actor(at(70, 120), side=80), Actor(along((0, 190, 110), (2, 250, 140)), side=70, look=1)
    clip = write_clip(tmp_path / "clip.mp4", [still, moving], duration=2.0)
    choose(page, clip.path)
    assert wait_for_status(page, "2 faces") == "2 faces in clip.mp4."
    assert [text.partition(":")[0] for text in summaries(page)] == ["Face #1", "Face #2"]
    rows = saved_rows(page, folder, "clip.csv")
    assert list(rows[0])[:4] == ["source", "seconds", "track", "face"]
    assert {row["seconds"] for row in rows} == {f"{step / 5:g}" for step in range(10)}
    assert len(rows) == 20
    for row in rows:
        left, top, right, bottom = (float(row[side]) for side in BOX)
        middle = ((left + right) / 2, (top + bottom) / 2)
        boxes = clip.boxes[round(float(row["seconds"]) * 25)]
        near = [who for who, box in boxes.items() if abs(middle[0] - (box[0] + box[2]) / 2) < 15]
        assert near == [int(row["track"]) - 1]
    assert len(page.find_elements(By.CSS_SELECTOR, "#bands .band")) == 2
    slider = page.find_element(By.ID, "seek")
    assert slider.get_attribute("max") == "2"
    page.find_element(By.ID, "play").click()
    WebDriverWait(page, 60, 0.05).until(lambda _: float(slider.get_attribute("value") or 0) > 0.3)
    canvas = page.find_element(By.ID, "picture")
    assert re.match("The picture, with faces marked: \\w+, \\w+$", canvas.get_attribute("aria-label") or "")


def test_the_camera_is_read(page: webdriver.Chrome) -> None:
    button = page.find_element(By.ID, "camera")
    button.click()
    assert wait_for_status(page, "1 face") == "1 face: happy."
    WebDriverWait(page, 60).until(lambda driver: "a second" in driver.find_element(By.ID, "rate").text)
    button.click()
    assert summaries(page)[0].startswith("Face 1: happy")


def test_mien_serve_offers_it_and_nothing_is_sent(dist: Path, folder: Path) -> None:
    command = ("-m", "mien", "serve", "--port", "0", "-m", "swift-nano", "--web", str(dist), "--token", "sesame")
    with serving(*command) as (_, address, _), browsing_with_camera(folder / "serve") as browser:
        browser.get(f"{address}/local")
        assert "Nothing is sent" in browser.find_element(By.ID, "promise").text
        choose(browser, PORTRAIT)
        assert wait_for_status(browser, "1 face") == "1 face: happy."
        sent = [(method, url) for method, url in requested(browser) if url.startswith("http")]
        assert {method for method, _ in sent} == {"GET"}
        assert {url.removeprefix(address) for _, url in sent} <= {"/local", "/local/"} | {
            f"/local/{path.relative_to(dist).as_posix()}" for path in dist.rglob("*") if path.is_file()
        }
        assert console_errors(browser) == []
        again = httpx.get(f"{address}/local/worker.js")
        assert "'wasm-unsafe-eval'" in again.headers["content-security-policy"]
        same = httpx.get(f"{address}/local/worker.js", headers={"If-None-Match": again.headers["etag"]})
        assert same.status_code == 304
        for wrong in ("../index.html", "%2e%2e/conftest.py", "models", "%00", "a" * 5000):
            assert httpx.get(f"{address}/local/{wrong}").status_code in (401, 404)


def test_a_file_that_is_missing_is_named(dist: Path, folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(dist, tmp_path / "dist")
    (copy / "models" / "yunet.onnx").unlink()
    with _hosting(copy) as address, browsing_with_camera(folder / "broken") as browser:
        browser.get(address)
        assert "models/yunet.onnx is not there" in wait_for_status(browser, "could not load its models")


def test_the_built_page_holds_no_inline_code(dist: Path) -> None:
    text = (dist / "index.html").read_text()
    assert "script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'" in text
    assert not re.search(r"<style|style=|<script(?! type=\"module\" src=)|\son\w+=|https?:", text)
    names = {path.relative_to(dist).as_posix() for path in dist.rglob("*") if path.is_file()}
    assert names == {
        *("index.html", "page.css", "page.js", "worker.js", "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"),
        *("LICENSE.txt", "NOTICE.txt"),
        *("models/yunet.onnx", "models/swift-nano.onnx", "models/covered.f32"),
    }


def test_a_folder_without_the_page_is_refused(tmp_path: Path) -> None:
    outcome = run_mien("serve", "--port", "0", "--web", tmp_path)
    assert outcome.code == 1
    assert outcome.err.strip() == f"mien: {tmp_path} must hold the page that `make web` builds, but has no index.html"

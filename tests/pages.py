"""The pages in a browser, as their tests use them."""

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from PIL import Image
from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from browser import browsing
from serving import portrait

PORTRAIT = str(files("mien") / "assets" / "portrait.jpg")

_CAMERA = ("use-fake-ui-for-media-stream", "use-fake-device-for-media-stream")


@contextmanager
def browsing_with_camera(folder: Path, *flags: str) -> Iterator[webdriver.Chrome]:
    """Yield a browser whose camera sees the portrait that ships."""
    folder.mkdir(exist_ok=True)
    camera = folder / "camera.mjpeg"
    with Image.open(io.BytesIO(portrait())) as image:
        image.save(camera, "JPEG", quality=90)
    with browsing(folder, *_CAMERA, f"use-file-for-fake-video-capture={camera}", *flags) as driver:
        yield driver


def open_page(driver: webdriver.Chrome, address: str) -> None:
    """Open a page anew, and wait until its program listens: it says its promise then."""
    driver.get("about:blank")  # or the driver may take the page that it shows already for the new one
    driver.get(address)
    WebDriverWait(driver, 60, 0.05).until(lambda _: driver.find_element(By.ID, "promise").text)


def wait_for_status(page: webdriver.Chrome, words: str) -> str:
    """Wait until the status line says this, and return it."""

    def line(driver: webdriver.Chrome) -> str:
        return str(driver.find_element(By.ID, "status").text)

    try:
        WebDriverWait(page, 60, 0.1).until(lambda driver: words in line(driver))
    except TimeoutException as late:
        raise AssertionError(f"the status should say {words!r}, and says {line(page)!r}") from late
    return line(page)


def choose(page: webdriver.Chrome, path: str | Path) -> None:
    page.find_element(By.ID, "file").send_keys(str(path))


def summaries(page: webdriver.Chrome) -> list[str]:
    return [element.text for element in page.find_elements(By.CSS_SELECTOR, "#faces summary")]


def downloaded(page: webdriver.Chrome, path: Path) -> bytes:
    WebDriverWait(page, 30, 0.1).until(lambda _: path.exists())
    content = path.read_bytes()
    path.unlink()
    return content


def saved_rows(page: webdriver.Chrome, folder: Path, name: str) -> list[dict[str, str]]:
    """Return the rows of the table that the page saves."""
    page.find_element(By.ID, "save-csv").click()
    return list(csv.DictReader(io.StringIO(downloaded(page, folder / name).decode())))

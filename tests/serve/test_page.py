"""The page at `/` of a real `mien serve`, in a real browser: photos in by each way, faces and files out."""

import base64
import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from browser import console_errors, requested
from clips import Actor, along, at, write_clip
from mien.labels import COLOURS
from pages import (
    PORTRAIT,
    browsing_with_camera,
    choose,
    downloaded,
    open_page,
    saved_rows,
    summaries,
    wait_for_status,
)
from serving import png, portrait, serving
from support import run_mien

pytestmark = pytest.mark.browser

_GIVE = """
const bytes = Uint8Array.from(atob(arguments[1]), (letter) => letter.charCodeAt(0));
const data = new DataTransfer();
data.items.add(new File([bytes], "given.jpg", {type: "image/jpeg"}));
const event = arguments[0] === "paste" ? new ClipboardEvent("paste", {clipboardData: data, bubbles: true})
    : new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true});
document.body.dispatchEvent(event);
"""
_COLOUR_IS_THERE = """
const canvas = document.getElementById("picture"), [red, green, blue] = arguments;
const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
let count = 0;
for (let at = 0; at < data.length; at += 4)
    count += data[at] === red && data[at + 1] === green && data[at + 2] === blue;
return count;
"""
_IS_SOLID = """
const canvas = document.getElementById("picture");
const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
return data.every((value, at) => at % 4 !== 3 || value === 255);
"""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A service of the smallest model that ships."""
    with serving("-m", "mien", "serve", "--port", "0", "-m", "swift-nano") as (_, found, _):
        yield found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that downloads go to."""
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="module")
def browser(folder: Path) -> Iterator[webdriver.Chrome]:
    """A browser whose camera sees the portrait that ships."""
    with browsing_with_camera(folder) as driver:
        yield driver


@pytest.fixture
def page(browser: webdriver.Chrome, address: str) -> Iterator[webdriver.Chrome]:
    """The page, newly opened; in the end nothing stands on its console."""
    console_errors(browser)
    open_page(browser, address)
    yield browser
    assert console_errors(browser) == []


def test_a_chosen_photo_shows_its_faces_and_is_saved(page: webdriver.Chrome, folder: Path) -> None:
    (expected,) = json.loads(run_mien("predict", PORTRAIT, "-m", "swift-nano", "--json").out)
    choose(page, PORTRAIT)
    assert wait_for_status(page, "1 face") == "1 face: happy."
    assert summaries(page) == [f"Face 1: happy, {expected['confidence']:.0%}"]
    assert page.execute_script(_COLOUR_IS_THERE, *COLOURS["happy"]) > 500
    lines = [element.text.split() for element in page.find_elements(By.CSS_SELECTOR, "#faces tr")]
    assert dict(lines) == {name: f"{expected[name]:.0%}" for name in COLOURS}

    (row,) = saved_rows(page, folder, "portrait.csv")
    assert row.pop("source") == "portrait.jpg"
    read = {name: type(expected[name])(cell) for name, cell in row.items()}  # 0.000001 is 1e-06
    assert read == {name: value for name, value in expected.items() if name != "source"}
    page.find_element(By.ID, "save-picture").click()
    with Image.open(io.BytesIO(downloaded(page, folder / "portrait-faces.jpg"))) as saved:
        drawn = np.asarray(saved.convert("RGB"), np.int16)
    with Image.open(io.BytesIO(portrait())) as image:
        before = np.asarray(image.convert("RGB"), np.int16)
    assert drawn.shape == before.shape
    changed = np.abs(drawn - before).max(axis=2) > 60
    assert changed.any()
    assert not changed[int(expected["bottom"]) + 40 :].any()


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_a_photo_may_be_dropped_and_pasted(page: webdriver.Chrome, way: str) -> None:
    page.execute_script(_GIVE, way, base64.b64encode(portrait()).decode())
    assert wait_for_status(page, "1 face") == "1 face: happy."


def test_several_faces_have_numbers_and_open_on_a_click(page: webdriver.Chrome, tmp_path: Path) -> None:
    with Image.open(io.BytesIO(portrait())) as image:
        half = image.resize((image.width // 2, image.height // 2))
        both = Image.new("RGB", (image.width + half.width, image.height), "grey")
        both.paste(image, (0, 0))
        both.paste(half, (image.width, 0))
        side = image.width
    both.save(tmp_path / "both.png")
    choose(page, tmp_path / "both.png")
    assert wait_for_status(page, "2 faces") == "2 faces: happy, happy."
    assert [text.partition(":")[0] for text in summaries(page)] == ["Face 1", "Face 2"]
    second = page.find_elements(By.CSS_SELECTOR, "#faces details")[1]
    page.execute_script("arguments[0].open = false", second)
    canvas = page.find_element(By.ID, "picture")
    box = page.execute_script(
        "const {width, height} = arguments[0].getBoundingClientRect(); return [width, height]", canvas
    )
    at_x, at_y = (side + 0.44 * side / 2) / (1.5 * side) - 0.5, 0.115 - 0.5  # the face of the small copy
    actions = webdriver.ActionChains(page)
    actions.move_to_element_with_offset(canvas, int(at_x * box[0]), int(at_y * box[1])).click().perform()
    assert second.get_attribute("open")
    assert page.switch_to.active_element.text.startswith("Face 2")


def test_all_of_it_works_by_the_keyboard(page: webdriver.Chrome) -> None:
    choose(page, PORTRAIT)
    wait_for_status(page, "1 face")
    page.execute_script("document.activeElement.blur()")
    reached = []
    for _ in range(6):
        webdriver.ActionChains(page).send_keys(Keys.TAB).perform()
        element = page.switch_to.active_element
        reached.append(element.get_attribute("id") or element.tag_name)
    assert reached == ["file", "camera", "other", "summary", "save-csv", "save-picture"]
    summary = page.find_element(By.CSS_SELECTOR, "#faces summary")
    table = page.find_element(By.CSS_SELECTOR, "#faces table")
    assert table.is_displayed()
    summary.send_keys(Keys.ENTER)
    assert not table.is_displayed()


def test_a_screen_reader_finds_names_for_everything(page: webdriver.Chrome) -> None:
    choose(page, PORTRAIT)
    wait_for_status(page, "1 face")
    page.execute_cdp_cmd("Accessibility.enable", {})
    nodes = page.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    told = {
        (node.get("role", {}).get("value"), node.get("name", {}).get("value")) for node in nodes if not node["ignored"]
    }
    assert ("status", "") in told or any(role == "status" for role, _ in told)
    assert ("image", "The picture, with faces marked: happy") in told
    assert ("button", "Save the table (CSV)") in told
    assert ("table", "Probabilities of face 1") in told
    assert ("rowheader", "surprise") in told
    interactive = {"button", "DisclosureTriangle", "textbox", "slider", "link"}
    assert all(name for role, name in told if role in interactive)


def test_the_camera_is_read_until_it_is_stopped(page: webdriver.Chrome) -> None:
    button = page.find_element(By.ID, "camera")
    button.click()
    assert wait_for_status(page, "1 face") == "1 face: happy."
    WebDriverWait(page, 60).until(lambda driver: "pictures a second" in driver.find_element(By.ID, "rate").text)
    assert button.text == "Stop the camera"
    button.click()
    assert button.text == "Use the camera"
    assert summaries(page)[0].startswith("Face 1: happy")
    assert page.find_element(By.ID, "rate").text == ""


def test_a_clip_shows_its_faces_over_time(page: webdriver.Chrome, folder: Path, tmp_path: Path) -> None:
    still, moving = Actor(at(70, 120), side=80), Actor(along((0, 190, 110), (2, 250, 140)), side=70, look=1)
    path = write_clip(tmp_path / "clip.mp4", [still, moving], duration=2.0).path
    choose(page, path)
    assert wait_for_status(page, "2 faces") == "2 faces in clip.mp4."
    assert sorted(text.partition(":")[0] for text in summaries(page)) == ["Face #1", "Face #2"]
    rows = saved_rows(page, folder, "clip.csv")
    run_mien("predict", path, "-m", "swift-nano", "-o", tmp_path / "rows.csv")
    with (tmp_path / "rows.csv").open(newline="") as file:
        expected = list(csv.DictReader(file))
    numbers = ("seconds", "track", "face", "left", "bottom")
    assert [[float(row[name]) for name in numbers] for row in rows] == [
        [float(row[name]) for name in numbers] for row in expected
    ]
    assert len(page.find_elements(By.CSS_SELECTOR, "#bands .band svg polygon")) == 2 * 7
    assert page.execute_script(_IS_SOLID)  # the first frame is drawn
    band = page.find_element(By.CSS_SELECTOR, "#bands .band svg")
    webdriver.ActionChains(page).move_to_element(band).click().perform()  # its middle
    slider = page.find_element(By.ID, "seek")
    WebDriverWait(page, 30, 0.05).until(lambda _: abs(float(slider.get_attribute("value") or 0) - 1) < 0.1)
    shown = [row["expression"] for row in rows if abs(float(row["seconds"]) - 1) < 0.01]
    assert all(page.execute_script(_COLOUR_IS_THERE, *COLOURS[name]) > 100 for name in shown)
    choose(page, PORTRAIT)
    wait_for_status(page, "1 face: ")
    assert not page.find_elements(By.CSS_SELECTOR, "#bands .band")


def test_a_clip_that_is_left_is_cancelled(page: webdriver.Chrome, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "long.mp4", [Actor(at(70, 120), side=80)], duration=20.0).path
    requested(page)
    choose(page, path)
    WebDriverWait(page, 60, 0.05).until(lambda driver: "reading" in driver.find_element(By.ID, "rate").text)
    choose(page, PORTRAIT)
    assert wait_for_status(page, "1 face") == "1 face: happy."

    def cancelled(driver: webdriver.Chrome) -> list[str]:
        return [url for method, url in requested(driver) if method == "DELETE"]

    (job,) = WebDriverWait(page, 30, 0.1).until(cancelled)
    assert httpx.get(job).status_code == 404
    assert len(summaries(page)) == 1


def test_a_camera_that_is_left_is_let_go(page: webdriver.Chrome) -> None:
    page.find_element(By.ID, "camera").click()
    choose(page, PORTRAIT)
    assert wait_for_status(page, "1 face") == "1 face: happy."
    assert page.find_element(By.ID, "camera").text == "Use the camera"
    page.find_element(By.ID, "camera").click()
    WebDriverWait(page, 60, 0.05).until(lambda driver: "a second" in driver.find_element(By.ID, "rate").text)
    choose(page, PORTRAIT)
    WebDriverWait(page, 60, 0.05).until(lambda driver: driver.find_element(By.ID, "rate").text == "")
    assert page.find_element(By.ID, "camera").text == "Use the camera"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("blank.png", png(np.full((50, 60, 3), 128, np.uint8)), "No faces."),
        ("note.jpg", b"no picture", "no photo or clip that the browser can show"),
        ("clip.mp4", b"no clip", "no clip that the browser can play"),
    ],
)
def test_what_shows_no_face_is_said_in_a_line(
    page: webdriver.Chrome, tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(content)
    choose(page, tmp_path / name)
    wait_for_status(page, words)
    assert summaries(page) == []
    assert not page.find_element(By.ID, "save-csv").is_displayed()
    choose(page, PORTRAIT)  # and the page goes on
    wait_for_status(page, "1 face")


def test_the_page_asks_for_the_token_of_its_service(browser: webdriver.Chrome) -> None:
    with serving("-m", "mien", "serve", "--port", "0", "-m", "swift-nano", "--token", "sesame") as (_, address, _):
        browser.get(address)
        field = browser.find_element(By.ID, "token-field")
        for typed in ("wrong", "sesame"):
            WebDriverWait(browser, 30).until(lambda _: field.is_displayed())
            field.send_keys(typed, Keys.ENTER)
            WebDriverWait(browser, 30).until(lambda _: field.get_attribute("value") == "")
        choose(browser, PORTRAIT)
        wait_for_status(browser, "1 face")
    choose(browser, PORTRAIT)
    wait_for_status(browser, "the service does not answer")
    assert len(console_errors(browser)) >= 3  # two refusals, and a connection that there is not


def test_the_page_asks_its_own_service_only(page: webdriver.Chrome, address: str) -> None:
    requested(page)
    page.refresh()
    choose(page, PORTRAIT)
    wait_for_status(page, "1 face")
    paths = [
        (method, url.removeprefix(address)) for method, url in requested(page) if not url.startswith(("data:", "blob:"))
    ]
    assert sorted(set(paths)) == [
        *(("GET", path) for path in ("/", "/page.css", "/page.js", "/v1/models")),
        ("POST", "/v1/predict"),
    ]


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_its_window(page: webdriver.Chrome, width: int, scheme: str) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 1000}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    page.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    try:
        choose(page, PORTRAIT)
        wait_for_status(page, "1 face")
        assert page.execute_script("return document.documentElement.scrollWidth") <= width
        ground = page.execute_script("return getComputedStyle(document.documentElement).backgroundColor")
        assert (int(re.findall(r"\d+", ground)[0]) < 100) == (scheme == "dark")
        smallest = "return Math.min(...[...document.querySelectorAll('button, .button, summary')]"
        smallest += ".filter((each) => each.offsetParent).map((each) => each.getBoundingClientRect().height))"
        assert page.execute_script(smallest) >= 40  # a finger's width
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_the_page_allows_no_code_but_its_own(address: str) -> None:
    answer = httpx.get(address)
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert not re.search(r"<style|style=|<script(?! type=\"module\" src=)|\son\w+=|https?:", answer.text)
    (meta,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', answer.text)
    assert policy == f"{meta}; frame-ancestors 'none'"
    script = httpx.get(f"{address}/page.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert len(script.content) < 60_000

"""The answers of the service: the rows of `mien predict`, for one picture or many, however they are sent."""

import asyncio
import base64
import hashlib
import io
import json
import re
from importlib.resources import files

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from mien.detect.whole_image import whole_image
from mien.errors import DataError
from mien.serve.app import create_app
from mien.types import Scores
from serving import Client, png, portrait
from support import run_mien, tiny_model


@pytest.fixture(scope="module")
def client() -> Client:
    """A service of the smallest model that ships."""
    return Client(create_app("swift-nano", workers=2))


def test_the_rows_are_those_of_the_command_line(client: Client) -> None:
    path = str(files("mien") / "assets" / "portrait.jpg")
    expected = json.loads(run_mien("predict", path, "-m", "swift-nano", "--json").out)
    answer = client.post(files={"any": ("photo.jpg", portrait())})
    assert answer.status_code == 200
    said = answer.json()
    assert said["model"] == "swift-nano"
    (picture,) = said["pictures"]
    with Image.open(io.BytesIO(portrait())) as image:
        assert (picture["width"], picture["height"]) == image.size
    assert picture["rows"] == [row | {"source": "photo.jpg"} for row in expected]
    assert picture["rows"][0]["expression"] == "happy"


@pytest.mark.parametrize("kind", ["image/jpeg", "application/octet-stream", "application/x-www-form-urlencoded", ""])
def test_the_body_may_be_the_picture_itself(client: Client, kind: str) -> None:
    answer = client.post(content=portrait(), headers={"Content-Type": kind} if kind else {})
    (picture,) = answer.json()["pictures"]
    assert [row["source"] for row in picture["rows"]] == ["picture"]


def test_many_pictures_are_answered_in_their_order(client: Client) -> None:
    blank = png(np.full((60, 80, 3), 200, np.uint8))
    sent = [("a", ("1.jpg", portrait())), ("b", ("2.png", blank)), ("a", ("3.jpg", portrait()))]
    pictures = client.post(files=sent, data={"note": "passed over"}).json()["pictures"]
    assert [(each["source"], len(each["rows"])) for each in pictures] == [("1.jpg", 1), ("2.png", 0), ("3.jpg", 1)]
    assert (pictures[1]["width"], pictures[1]["height"]) == (80, 60)


def test_a_drawn_picture_comes_as_jpeg(client: Client) -> None:
    answer = client.post("/v1/predict?draw=1", content=portrait())
    assert answer.headers["content-type"] == "image/jpeg"
    with Image.open(io.BytesIO(answer.content)) as drawn, Image.open(io.BytesIO(portrait())) as before:
        assert (drawn.format, drawn.size) == ("JPEG", before.size)
        assert np.abs(np.asarray(drawn, np.int16) - np.asarray(before.convert("RGB"), np.int16)).max() > 100


def test_pictures_of_many_requests_are_read_together(client: Client) -> None:
    async def crowd(http: httpx.AsyncClient) -> tuple[list[httpx.Response], str]:
        answers = await asyncio.gather(*(http.post("/v1/predict", content=portrait()) for _ in range(12)))
        return answers, (await http.get("/metrics")).text

    lone = Client(create_app("swift-nano", workers=1))
    answers, counts = lone.talk(crowd)
    assert {json.dumps(answer.json()["pictures"][0]["rows"]) for answer in answers} == {
        json.dumps(client.post(content=portrait()).json()["pictures"][0]["rows"])
    }
    samples = {one.name: one.value for family in text_string_to_metric_families(counts) for one in family.samples}
    assert samples["mien_pictures_total"] == samples["mien_faces_total"] == samples["mien_batch_sum"] == 12
    assert samples["mien_batch_count"] < 6
    assert samples["mien_responses_total"] == 12
    assert samples["mien_pictures_inside"] == 0


class Picky:
    """A classifier that fails where one of the faces is bright."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __call__(self, images: NDArray[np.uint8]) -> Scores:
        """Classify (N, 48, 48) uint8 faces, or raise."""
        if (images.mean(axis=(1, 2)) > 200).any():
            raise self.error
        return Scores(np.full((len(images), 7), 1 / 7, np.float32))


@pytest.mark.parametrize(("error", "status"), [(DataError("too bright"), 422), (ValueError("too bright"), 500)])
def test_a_picture_that_fails_fails_no_other_request(
    error: Exception, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mien.serve.batching.WAIT", 0.5)  # seconds: they meet on a busy machine, too
    noise = np.random.default_rng(0).integers(0, 50, (48, 48), dtype=np.uint8)
    bodies = [png(noise + level) for level in (np.uint8(50), np.uint8(205), np.uint8(60))]

    async def crowd(http: httpx.AsyncClient) -> tuple[list[int], str]:
        answers = await asyncio.gather(*(http.post("/v1/predict", content=body) for body in bodies))
        return [answer.status_code for answer in answers], (await http.get("/metrics")).text

    client = Client(create_app(Picky(error), detector=whole_image, workers=1))
    statuses, counts = client.talk(crowd)
    assert statuses == [200, status, 200]
    assert "mien_batch_count 1.0" in counts  # else they did not meet


def test_the_model_is_described(client: Client) -> None:
    (model,) = client.get("/v1/models").json()["models"]
    assert model["name"] == "swift-nano"
    assert model["class_names"] == ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
    assert model["scores"]["valid_accuracy"] > 0.6
    assert len(model["hash"]) == 64


def test_rows_have_the_classes_of_the_model(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tiny_model(tmp_path_factory.mktemp("model") / "two.onnx", class_names=("calm", "cross"))
    (picture,) = Client(create_app(path, workers=1)).post(content=portrait()).json()["pictures"]
    assert list(picture["rows"][0])[-2:] == ["calm", "cross"]


def test_the_service_says_that_it_is_alive(client: Client) -> None:
    assert client.get("/healthz").json()["status"] == "ok"


def test_the_openapi_document_describes_the_answers(client: Client) -> None:
    document = client.get("/openapi.json").json()
    predict = document["paths"]["/v1/predict"]["post"]
    assert set(predict["requestBody"]["content"]) == {"application/octet-stream", "image/*", "multipart/form-data"}
    assert set(predict["responses"]["200"]["content"]) == {"application/json", "image/jpeg"}
    assert set(predict["responses"]) == {"200", "400", "401", "403", "408", "413", "422", "429", "503"}
    video = document["paths"]["/v1/video"]["post"]
    assert set(video["requestBody"]["content"]) == {"application/octet-stream", "video/*", "multipart/form-data"}
    assert set(video["responses"]) == {"202", "400", "401", "403", "408", "413", "422", "429", "503"}
    job = document["paths"]["/v1/jobs/{identifier}"]
    assert [set(job[method]["responses"]) for method in ("get", "delete")] == [
        {"200", "401", "403", "404", "422", "429", "503"},
        {"204", "401", "403", "404", "422", "429", "503"},
    ]


def test_the_page_of_the_addresses_loads_nothing(client: Client) -> None:
    answer = client.get("/docs")
    assert answer.headers["content-type"].startswith("text/html")
    for words in ("POST /v1/predict", "?draw=", "multipart/form-data", "PictureAnswer", "Retry-After", "held_bytes"):
        assert words in answer.text
    assert not re.search(r"<script|src=|url\(|@import|://", answer.text)
    (style,) = re.findall(r"<style>(.*?)</style>", answer.text, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in answer.headers["content-security-policy"]

"""The OpenAPI document and the service agree: Schemathesis sends what the document allows, and what it forbids."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS

from clips import Actor, at, write_clip
from serving import portrait, serving

_TAKES_BYTES = ("POST /v1/predict", "POST /v1/video")
_CALM = settings(
    max_examples=12, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The address of a service that runs as a process."""
    with serving("-m", "mien", "serve", "--port", "0", "-m", "swift-nano") as (_, found, _port):
        yield found


@pytest.fixture(scope="module")
def schema(address: str) -> Any:
    """The service's description of itself."""
    return schemathesis.openapi.from_dict(httpx.get(f"{address}/openapi.json", timeout=60).json())


def _of_bytes() -> Any:
    """The checks that expect of bytes what no schema says: that they are, or are not, a picture."""
    return CHECKS.get_by_names(["positive_data_acceptance", "negative_data_rejection"])


def test_what_the_document_allows_is_answered_as_described(address: str, schema: Any) -> None:
    asked = set()
    for operation in (found.ok() for found in schema.get_all_operations()):

        @_CALM
        @given(case=operation.as_strategy())
        def ask(case: Case[Any]) -> None:
            label = case.operation.label
            asked.add(label)
            case.call_and_validate(address, excluded_checks=_of_bytes() if label in _TAKES_BYTES else None)

        ask()
    assert asked >= {*_TAKES_BYTES, "GET /v1/jobs/{identifier}", "DELETE /v1/jobs/{identifier}", "GET /v1/limits"}


def test_what_the_document_forbids_is_refused_as_described(address: str, schema: Any) -> None:
    statuses = set()

    @_CALM
    @given(case=schema["/v1/predict"]["POST"].as_strategy(GenerationMode.NEGATIVE))
    def ask(case: Case[Any]) -> None:
        statuses.add(case.call_and_validate(address, excluded_checks=_of_bytes()).status_code)

    ask()
    assert statuses >= {400, 422}


def test_full_answers_are_as_described(address: str, schema: Any, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    write_clip(clip, [Actor(at(160, 120))], duration=0.4)
    with httpx.Client(base_url=address, timeout=60) as http:
        for query in ("", "?draw=1"):
            answer = http.post(f"/v1/predict{query}", content=portrait())
            assert answer.status_code == 200
            schema["/v1/predict"]["POST"].validate_response(answer)
        mixed = http.post("/v1/predict", files=[("a", ("1.jpg", portrait())), ("a", ("2.jpg", portrait()[:900]))])
        assert [each["error"] is None for each in mixed.json()["pictures"]] == [True, False]
        mixed.request.read()  # which Schemathesis wants to see
        schema["/v1/predict"]["POST"].validate_response(mixed)
        job = http.post("/v1/video", content=clip.read_bytes())
        assert job.status_code == 202
        schema["/v1/video"]["POST"].validate_response(job)
        deadline = time.monotonic() + 60
        while True:
            answer = http.get(job.json()["url"])
            schema["/v1/jobs/{identifier}"]["GET"].validate_response(answer)
            if answer.json()["state"] not in ("queued", "running"):
                break
            assert time.monotonic() < deadline
        assert answer.json()["rows"][0]["track"] == 1

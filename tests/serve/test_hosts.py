"""The header Host: a page whose name leads to this machine (DNS rebinding) is refused, whatever it asks for."""

import httpx
import pytest

from mien.serve.app import create_app
from serving import Client, assert_refused, portrait, serving
from support import run_mien


def client(*hosts: str) -> Client:
    """A service that has these names."""
    return Client(create_app("swift-nano", hosts=hosts, workers=1))


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8000", 200),
        ("[::1]", 200),
        ("[::1]:8000", 200),
        ("evil.example", 403),
        ("localhost.evil.example:8000", 403),
        ("evil.example:localhost", 403),
        ("[::2]:8000", 403),
        ("", 403),
    ],
)
def test_only_the_names_of_the_service_are_answered(name: str, status: int) -> None:
    assert client("localhost", "[::1]").get("/healthz", headers={"Host": name}).status_code == status


def test_a_foreign_name_gets_nothing() -> None:
    ours = client("localhost")
    foreign = {"Host": "evil.example:8000"}
    for path in ("/", "/page.js", "/local", "/docs", "/openapi.json", "/metrics", "/v1/models", "/none"):
        assert_refused(ours.get(path, headers=foreign), 403, "must name localhost, got evil.example; --allow-host")
    assert_refused(ours.post(content=portrait(), headers=foreign), 403, "got evil.example")


def test_a_service_without_names_answers_any() -> None:
    assert client().get("/healthz", headers={"Host": "any.example"}).status_code == 200


@pytest.mark.linux
@pytest.mark.parametrize(
    ("options", "answered", "refused"),
    [
        ([], ["localhost", "127.0.0.1:1", "[::1]:1"], ["evil.example", "192.168.0.7"]),
        (["--allow-host", "faces.example:443"], ["localhost", "faces.example"], ["evil.example"]),
        (["--host=0.0.0.0"], ["localhost", "any.example"], []),
        (["--host=0.0.0.0", "--allow-host", "faces.example"], ["127.0.0.1", "faces.example"], ["192.168.0.7"]),
    ],
    ids=["here", "proxy", "anywhere", "named"],
)
def test_the_command_knows_the_names(options: list[str], answered: list[str], refused: list[str]) -> None:
    with serving("-m", "mien", "serve", "--port", "0", "-m", "swift-nano", *options) as (_, address, _port):
        for status, names in ((200, answered), (403, refused)):
            for name in names:
                assert httpx.get(f"{address}/healthz", headers={"Host": name}).status_code == status, name


def test_a_name_must_be_one() -> None:
    said = run_mien("serve", "--allow-host", "https://faces.example")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "must be a name such as faces.example.org, got https://faces.example" in said.err

"""A headless Chromium for tests, spoken to by the WebDriver protocol, where `chromium` and `chromedriver` are there."""

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_FLAGS = [
    "headless=new",
    "no-sandbox",
    "disable-gpu",
    "disable-quic",
    "no-first-run",
    "disable-background-networking",
    "disable-component-update",
    "disable-sync",
    "disable-dev-shm-usage",
    "window-size=1200,900",
]


def missing() -> str:
    """Why there can be no browser; empty where there can."""
    absent = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return f"not installed: {', '.join(absent)}" if absent else ""


class Browser:
    """One tab."""

    def __init__(self, address: str, folder: Path) -> None:
        self._address = address
        options = {
            "args": [f"--{flag}" for flag in _FLAGS] + [f"--user-data-dir={folder / 'profile'}"],
            "prefs": {"download.default_directory": str(folder), "download.prompt_for_download": False},
            "binary": shutil.which("chromium"),
        }
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self._session = ""
        self._session = f"/session/{self._ask('POST', '/session', capabilities={'alwaysMatch': wanted})['sessionId']}"

    def open(self, path: Path) -> None:
        """Go to a file."""
        self._ask("POST", "/url", url=path.resolve().as_uri())

    def run(self, script: str) -> Any:
        """What a script returns."""
        return self._ask("POST", "/execute/sync", script=script, args=[])

    def click(self, selector: str) -> None:
        """Click as a person does: what is covered or not there cannot be clicked."""
        (element,) = self._ask("POST", "/element", using="css selector", value=selector).values()
        self._ask("POST", f"/element/{element}/click")

    def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        actions = [{"type": step, "value": key} for key in keys for step in ("keyDown", "keyUp")]
        self._ask("POST", "/actions", actions=[{"type": "key", "id": "keys", "actions": actions}])

    def complaints(self) -> list[str]:
        """Errors on the page's console so far."""
        log = self._ask("POST", "/se/log", type="browser")
        return [entry["message"] for entry in log if entry["level"] == "SEVERE"]

    def close(self) -> None:
        """End the browser."""
        self._ask("DELETE", "")

    def _ask(self, method: str, path: str, **content: Any) -> Any:
        body = json.dumps(content).encode() if method == "POST" else None
        request = urllib.request.Request(  # noqa: S310 (the address is ours)
            self._address + self._session + path, body, {"Content-Type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{path}: {error.read().decode()[:500]}") from None


@contextmanager
def browsing(folder: Path) -> Iterator[Browser]:
    """A browser whose downloads and profile are in a folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with subprocess.Popen(
        ["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as driver:
        try:
            _wait_for_port(port)
            browser = Browser(f"http://127.0.0.1:{port}", folder)
            try:
                yield browser
            finally:
                browser.close()
        finally:
            driver.terminate()


def wait_for(condition: Any, seconds: float = 20) -> Any:
    """What a function returns as soon as that is true."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
    return value


def _wait_for_port(port: int) -> None:
    def answers() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_for(answers)

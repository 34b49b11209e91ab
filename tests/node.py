"""Node for tests: what is written in TypeScript, run and built."""

import shutil
import subprocess
from pathlib import Path

WEB = Path(__file__).parents[1] / "web"


def missing_packages() -> str:
    """Name what a test with Node needs and is not there; empty if all is there."""
    if shutil.which("node") is None:
        return "not installed: node"
    return "" if (WEB / "node_modules").is_dir() else "web/node_modules is missing: run `cd web && npm ci`"


def run_node(*arguments: str | Path) -> str:
    """Run Node in the folder web/ and return what it wrote; its errors are in the exception."""
    command = ["node", *map(str, arguments)]
    done = subprocess.run(command, cwd=WEB, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout

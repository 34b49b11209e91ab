"""Trains in several lives, each of which kills itself (SIGKILL) at a named moment, and a last one that may end.

python lives.py RECIPE FACES OUT MOMENT...
A moment is a number n, the n-th event of that life (a step, or a file that is synced or renamed); or half FILE: with
half of it written; whole FILE: written but not renamed; after FILE: renamed.
"""

import os
import signal
import sys
from pathlib import Path

from mien.data.formats.npz import load_faces
from mien.io.atomic_write import write_text
from mien.train.recipe_toml import load_recipe
from mien.train.run import plots
from mien.train.run.hardware import Hardware
from mien.train.run.trainer import train


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def live(recipe: str, faces: str, out: str, moment: str) -> None:
    """Go on with the run until that moment, or to its end."""
    events = 0
    real_sync, real_replace = os.fsync, Path.replace

    def event(name: str = "") -> None:
        nonlocal events
        events += 1
        if moment in (str(events), name):
            die()

    def sync(number: int) -> None:
        name = Path(f"/proc/self/fd/{number}").readlink().name.removesuffix(".part").rpartition(".")[0]
        if moment == f"half {name}":
            os.ftruncate(number, os.fstat(number).st_size // 2)
            die()
        event(f"whole {name}")
        real_sync(number)

    def replace(part: Path, path: Path) -> Path:
        done = real_replace(part, path)
        event(f"after {Path(path).name}")
        return done

    for owner, name, stand_in in (
        (os, "fsync", sync),
        (Path, "replace", replace),
        (plots, "plot_curve", lambda path, epochs: write_text(path, str(len(epochs)))),  # a drawing takes long
    ):
        setattr(owner, name, stand_in)
    loaded = load_recipe(recipe)
    run = train(loaded, load_faces(faces), out=out, resume=True, hardware=Hardware(threads=1, accelerator="cpu"))
    run.on_step = lambda _epochs, _loss, _pace: event()
    for _ in run:
        pass


def main(recipe: str, faces: str, out: str, *moments: str) -> None:
    """Live once for each moment, and once more; say of each life's end on a line: killed or ended."""
    for moment in (*moments, "never"):
        child = os.fork()
        if not child:
            live(recipe, faces, out, moment)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        sys.stdout.write(f"{moment}: {'killed' if killed else f'ended with {os.waitstatus_to_exitcode(status)}'}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])

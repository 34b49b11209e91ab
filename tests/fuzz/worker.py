"""The process of the fuzzing that reads: takes a line `["reader", "path"]`, and answers what came of it."""

import json
import logging
import os
import re
import resource
import sys
import time
import warnings
from pathlib import Path

from fuzz.inputs import READERS
from mien.errors import MienError

SECONDS, MEGABYTES = 2.0, 1000.0
_LIMIT = 4 << 30  # bytes that the process may ask for beyond what it has when it begins


def _memory(what: str) -> float:
    """Return the megabytes of memory in use, `VmRSS`, or at its peak, `VmHWM`."""
    found = re.search(rf"{what}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    return float(found[1]) / 1024 if found else 0.0


def read(reader: str, path: Path) -> str:
    """Return what came of reading a file: "ok", "refused", or what is wrong."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
    before, began, used = _memory("VmRSS"), time.monotonic(), time.process_time()
    came = "ok"
    try:
        READERS[reader].read(path)
    except MienError as error:
        came = "refused"
        if "\n" in str(error) or len(str(error)) > 1000:
            came = f"said more than a line: {str(error)[:200]!r}"
    except BaseException as error:  # noqa: BLE001  # what must not come out is what is looked for
        came = f"{type(error).__name__}: {str(error)[:200]}"
    seconds = min(time.monotonic() - began, time.process_time() - used)  # other programs may run beside
    peak = _memory("VmHWM") - before
    if seconds > SECONDS:
        came = f"took {seconds:.1f} seconds ({came})"
    if peak > MEGABYTES:
        came = f"took {peak:,.0f} MB ({came})"
    return came


def main() -> None:
    """Answer line by line."""
    warnings.simplefilter("always")
    logging.getLogger("mien").addHandler(logging.NullHandler())  # what the library says itself may be said
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    size = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + _LIMIT, resource.RLIM_INFINITY))
    print(json.dumps("ready"), file=answers, flush=True)
    for line in sys.stdin:
        reader, path = json.loads(line)
        print(json.dumps(read(reader, Path(path))), file=answers, flush=True)


if __name__ == "__main__":
    main()

"""Write docs/cli.md, the command line's page, from the help texts themselves.

    python tools/write_cli_page.py

A test compares the page with what this would write.
"""

import textwrap
from pathlib import Path
from typing import Any

from mien.cli.main import COMMANDS, DATA_COMMANDS, Command

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"
_WIDTH = 120  # characters of a line of text
_HEAD = """# The command line

All commands, with their arguments and options. `mien COMMAND -h` says the same. This page is written from those help
texts by `python tools/write_cli_page.py`.

Results go to standard output; remarks, progress and errors go to standard error. The exit code is 0; 1 where something
went wrong, which one line says; 2 where the command was called wrongly; 130 after Ctrl-C and 143 after SIGTERM. What a
command writes is there whole or not at all. `mien --install-completion` lets the shell complete commands and options.
"""


def page() -> str:
    """Return the whole page."""
    data = [section(command, f"data {command.name}") for command in DATA_COMMANDS]
    return "\n".join([_HEAD, *(section(command, command.name) for command in COMMANDS), *data])


def section(command: Command, name: str) -> str:
    """Return the part of one command: its help, its examples, its arguments and options."""
    loaded = command.load()
    examples = [line for line in loaded.epilog.splitlines() if "mien " in line]
    text = "\n\n".join(textwrap.fill(part, _WIDTH) for part in loaded.help.split("\n\n"))
    lines = [f"## mien {name}", "", text, "", *(f"    {line.strip()}" for line in examples), ""]
    lines += ["| argument or option | what it is |", "|---|---|"]
    lines += [f"| {spelling(each)} | {meaning(each)} |" for each in loaded.params if each.name != "help"]
    return "\n".join([*lines, ""])


def spelling(parameter: Any) -> str:
    """Return how a parameter is given: `-o`, `--out FILE`."""
    if parameter.param_type_name == "argument":
        return f"`{parameter.metavar}`"
    names = "`, `".join(sorted([*parameter.opts, *parameter.secondary_opts], key=len))
    return f"`{f'{names} {parameter.metavar}'.strip()}`".replace("|", "\\|")


def meaning(parameter: Any) -> str:
    """Return the help of a parameter, with its default."""
    default = parameter.default
    if isinstance(default, bool) or default in (None, "", []):
        return str(parameter.help)
    return f"{parameter.help} Default: {', '.join(map(str, default)) if isinstance(default, list) else default}."


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

"""Check four habits of the source that no linter knows. CI runs this; it prints what it counted.

    python tools/check_house.py

1. At most 20 imports stand inside functions, each with a comment that says why.
2. A docstring's first line begins with a verb or a noun, not with a headless clause ("What the net sees").
3. A module has at most 300 lines, or is listed in LONG with its reason.
4. A test's name has at most 60 characters, and the test asserts something.
"""

import ast
import re
import sys
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src"
TESTS = SOURCE.parent / "tests"
MOST_INNER_IMPORTS = 20
MOST_LINES = 300
LONGEST_TEST_NAME = 60
LONG: dict[str, str] = {}  # path below src -> why it may be longer

_HEADLESS = re.compile(r"(What|Where|Whether|Which|Of|That|Theirs|Those|Whose|As|By|How)\b")


def inner_imports(tree: ast.Module, lines: list[str]) -> list[tuple[int, bool]]:
    """Return the line of each import inside a function, and whether a comment on or above it gives its reason."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    found = {
        node.lineno
        for function in functions
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    return [(line, "#" in lines[line - 1] or lines[line - 2].lstrip().startswith("#")) for line in sorted(found)]


def headless_docstrings(tree: ast.Module) -> list[tuple[int, str]]:
    """Return the line and the first line of each docstring that begins with no verb and no noun."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
            text = ast.get_docstring(node)
            if text and _HEADLESS.match(text):
                found.append((getattr(node, "lineno", 1), text.splitlines()[0]))
    return found


def weak_tests(tree: ast.Module) -> list[tuple[int, str]]:
    """Return the line of each test whose name is too long or that asserts nothing, and what is wrong with it."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test_"):
            continue
        if len(node.name) > LONGEST_TEST_NAME:
            found.append((node.lineno, f"{node.name} has {len(node.name)} characters, {LONGEST_TEST_NAME} at most"))
        names = (getattr(each, "id", getattr(each, "attr", "")) for each in ast.walk(node))
        asserts = any(isinstance(each, ast.Assert) for each in ast.walk(node))
        if not asserts and not any("assert" in name or name == "raises" for name in names):
            found.append((node.lineno, f"{node.name} asserts nothing"))
    return found


def main() -> int:
    """Print each offence and the counts. Return 1 if there is an offence, else 0."""
    imports, offences = 0, []
    for path in sorted(SOURCE.rglob("*.py")):
        name, text = path.relative_to(SOURCE).as_posix(), path.read_text(encoding="utf-8")
        tree, lines = ast.parse(text), text.splitlines()
        for line, explained in inner_imports(tree, lines):
            imports += 1
            if not explained:
                offences.append(f"{name}:{line}: an import inside a function needs a comment that says why")
        offences += [f"{name}:{line}: begin with a verb or a noun: {text}" for line, text in headless_docstrings(tree)]
        if len(lines) > MOST_LINES and name not in LONG:
            offences.append(
                f"{name}: {len(lines)} lines, {MOST_LINES} at most: split it, or list it in LONG with a reason"
            )
    for path in sorted(TESTS.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        name = path.relative_to(TESTS.parent).as_posix()
        offences += [f"{name}:{line}: {text}" for line, text in weak_tests(tree)]
    if imports > MOST_INNER_IMPORTS:
        offences.append(f"{imports} imports inside functions, {MOST_INNER_IMPORTS} at most")
    for offence in offences:
        print(offence)
    print(f"{imports} imports inside functions, {len(offences)} offences")
    return 1 if offences else 0


if __name__ == "__main__":
    sys.exit(main())

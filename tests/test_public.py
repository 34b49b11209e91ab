"""What `import mien` promises: these names, nothing loaded for them, and a command line that answers at once."""

import ast
import json
import pkgutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import mien

PUBLIC = {
    "Audit",
    "Classifier",
    "DataError",
    "Detections",
    "Detector",
    "EXPRESSIONS",
    "Ensemble",
    "ExtraError",
    "FaceSet",
    "Finding",
    "FiveCrop",
    "MienError",
    "Mirrored",
    "ModelCard",
    "ModelError",
    "OnnxClassifier",
    "OutputError",
    "Prediction",
    "Predictor",
    "RecipeError",
    "Report",
    "RunError",
    "Scores",
    "Speed",
    "Summary",
    "TenCrop",
    "Timeline",
    "__version__",
    "add_votes",
    "audit",
    "bench",
    "clean",
    "columns",
    "draw",
    "evaluate",
    "load",
    "load_faces",
    "models",
    "predict",
    "read_fer2013",
    "read_flat",
    "read_folder",
    "read_parquet",
    "read_picture",
    "save_faces",
    "split_random",
    "with_tta",
    "write_fer2013",
    "write_flat",
    "write_folder",
    "write_parquet",
}

HEAVY = {"numpy", "onnxruntime", "PIL", "torch", "lightning_fabric", "onnx", "pyarrow", "matplotlib", "safetensors"}


def _in_a_new_process(code: str) -> Any:
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_the_public_names_are_these() -> None:
    assert mien.__all__ == dir(mien) == sorted(PUBLIC)


def test_every_public_name_is_one_thing_whatever_is_imported() -> None:
    for package in ("mien.data", "mien.evaluation", "mien.classify", "mien.pipeline", "mien.cli"):
        for module in pkgutil.iter_modules(__import__(package, fromlist=["_"]).__path__, f"{package}."):
            __import__(module.name)
    for name in PUBLIC:
        value = getattr(mien, name)
        assert not isinstance(value, type(mien)), f"mien.{name} must be no module"
        assert getattr(value, "__name__", name) == name


def test_type_checkers_and_python_see_the_same_names() -> None:
    tree = ast.parse(Path(mien.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    lines = (line for line in block.body if isinstance(line, ast.ImportFrom))
    seen = {each.name: line.module for line in lines for each in line.names if each.name == each.asname}
    assert seen.keys() == PUBLIC - {"__version__"}
    for name, module in seen.items():
        assert getattr(import_module(str(module)), name) is getattr(mien, name)


def test_another_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="module 'mien' has no attribute 'nonsense'"):
        _ = mien.nonsense


def test_importing_mien_loads_nothing_else() -> None:
    code = "import json, sys; import mien; print(json.dumps(sorted(sys.modules)))"
    loaded = _in_a_new_process(code)
    assert not HEAVY & set(loaded)
    assert [name for name in loaded if name.startswith("mien")] == ["mien", "mien._version"]


def test_reading_a_model_or_a_report_needs_no_training_packages() -> None:
    code = (
        "import json, sys; import mien; mien.load, mien.evaluate, mien.Mirrored; print(json.dumps(sorted(sys.modules)))"
    )
    assert not (HEAVY - {"numpy"}) & set(_in_a_new_process(code))


HELP = """
import contextlib, io, json, sys
import typer
from mien.cli.main import app, main

def helps(command, *path):
    sys.argv = ["mien", *path, "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        main()
    yield " ".join(path), out.getvalue()
    for name, inner in getattr(command, "commands", {}).items():
        yield from helps(inner, *path, name)

print(json.dumps([dict(helps(typer.main.get_command(app))), sorted(sys.modules)]))
"""


def test_help_of_every_command_needs_nothing_heavy() -> None:
    said, loaded = _in_a_new_process(HELP)
    assert {"", "evaluate", "bench", "models", "show", "data import", "train", "export"} <= said.keys()
    assert all(text.lstrip().startswith(f"Usage: mien {path}".rstrip()) for path, text in said.items())
    assert not (HEAVY - {"numpy", "PIL"}) & set(loaded)

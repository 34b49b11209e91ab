"""`mien explain`, as a user runs it."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mien
from mien.evaluation.saliency import explain
from mien.io.pixels import to_face
from support import python_of, random_faces, run_mien, tiny_model

PORTRAIT = Path(__file__).parents[2] / "src/mien/assets/portrait.jpg"
FEW = ("--masks", "200", "-m", "swift-nano")


def test_a_portrait_is_explained_and_drawn(tmp_path: Path) -> None:
    said = run_mien("explain", PORTRAIT, "-m", "swift-nano", "--draw", tmp_path / "why.png")
    assert (said.code, said.err) == (0, f"wrote {tmp_path / 'why.png'}\n")
    assert said.out.startswith("portrait.jpg: happy ")
    assert "the map is better than chance and than the middle: swift-nano relies on what it shows" in said.out
    assert "Better begins at +0." in said.out
    with Image.open(tmp_path / "why.png") as drawn:
        pixels = np.asarray(drawn.convert("RGB")).astype(int)
    left, right = pixels[64:448, 24:408], pixels[64:448, 432:816]
    assert np.ptp(left, axis=2).max() == 0  # the face is grey
    assert np.ptp(right, axis=2).max() > 80  # its map is not
    mouth = right[250:320, 100:250].mean(axis=(0, 1))
    assert mouth[0] > mouth[2] + 20  # which is orange there


def test_the_json_is_what_the_library_says(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "m.onnx", sharp=4)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)).save(tmp_path / "crop.png")
    words = ("--cropped", "--method", "occlusion", "--expression", "sadness", "-m", model, "--json")
    said = run_mien("explain", tmp_path / "crop.png", *words)
    assert said.code == 0, said.err
    content = json.loads(said.out)
    wanted = explain(
        mien.load(model), to_face(mien.read_picture(tmp_path / "crop.png")), expression="sad", method="occlusion"
    )
    assert content["expression"] == "sad"
    assert np.array(content["map"]) == pytest.approx(wanted.map, rel=1e-4, abs=1e-9)
    assert content["tests"]["map"]["deletion"] == pytest.approx(wanted.faithfulness.deletion, rel=1e-4)


def test_one_of_several_faces_is_chosen(tmp_path: Path) -> None:
    with Image.open(PORTRAIT) as portrait:
        pair = Image.new("RGB", (portrait.width + portrait.width // 2, portrait.height))
        pair.paste(portrait, (0, 0))
        pair.paste(portrait.resize((portrait.width // 2, portrait.height // 2)), (portrait.width, 0))
    pair.save(tmp_path / "pair.png")
    assert run_mien("explain", tmp_path / "pair.png", *FEW).out.startswith("pair.png, face 1 of 2: happy")
    assert run_mien("explain", tmp_path / "pair.png", *FEW, "--face", "2").out.startswith(
        "pair.png, face 2 of 2: happy"
    )
    said = run_mien("explain", tmp_path / "pair.png", *FEW, "--face", "3")
    assert (said.code, said.err) == (1, f"mien: --face must be 1 to 2 for {tmp_path / 'pair.png'}, got 3\n")


def test_the_documented_python_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    mien.save_faces(random_faces(3), "faces.npz")
    exec(python_of("explain.md"), {})  # noqa: S102 (it is ours)
    assert capsys.readouterr().out.startswith("<Saliency of happy ")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("grey.png",), 1, "mien: no face was found in grey.png; where the picture is a face crop, add --cropped"),
        (("none.png",), 1, "none.png"),
        (("grey.png", "--draw", "why.gif"), 1, "must end in .jpg or .jpeg or .png"),
        (("grey.png", "--draw", "grey.png"), 1, "it is an input"),
        (("grey.png", "--cropped", "--expression", "grim"), 1, "the expression must be one of angry"),
        (("grey.png", "--method", "cam"), 2, "--method"),
        (("grey.png", "-m", "swiftt"), 1, "did you mean swift?"),
    ],
)
def test_explain_says_what_is_wrong(
    words: tuple[str, ...], code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (200, 200), (90, 90, 90)).save("grey.png")
    outcome = run_mien("explain", *words)
    assert (outcome.code, said in outcome.err) == (code, True), outcome.err
    assert code == 2 or outcome.err.count("\n") == 1

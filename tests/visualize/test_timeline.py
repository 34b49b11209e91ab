"""The timeline: its means against sums by hand, its picture by its colours, its page in a real browser."""

import itertools
import os
import pickle
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image

from browser import browsing, console_errors
from mien.errors import ExtraError, ModelError, OutputError
from mien.labels import COLOURS, EXPRESSIONS
from mien.types import Detections, Prediction, Scores
from mien.visualize.timeline import MOST_SHOWN, Timeline, require_timeline
from mien.visualize.timeline_chart import Chart, format_clock

FACE = (178.0, 63.0, 267.0, 175.0)  # in the astronaut picture


def seen(
    seconds: float,
    faces: Mapping[int, Sequence[float] | str],
    *,
    source: str = "a.mp4",
    boxes: Sequence[tuple[float, float, float, float]] | None = None,
) -> Prediction:
    """A frame with a face for each track, of probabilities or of an expression that is certain."""
    eye = np.eye(7, dtype=np.float32)
    probs = [eye[EXPRESSIONS.index(each)] if isinstance(each, str) else each for each in faces.values()]
    corners = boxes or [(50.0 * place, 0, 50.0 * place + 40, 40) for place in range(len(faces))]
    found = Detections(np.array(corners, np.float32), np.ones(len(faces), np.float32))
    rows = Scores(np.array(probs, np.float32).reshape(-1, 7))
    return Prediction(source, seconds, found, rows, np.array(list(faces), np.int64))


def drawn(timeline: Timeline, folder: Path) -> NDArray[np.uint8]:
    timeline.write(folder / "t.png")
    with Image.open(folder / "t.png") as image:
        return np.asarray(image.convert("RGB"))


def coloured(picture: NDArray[np.uint8], expression: str) -> NDArray[np.bool_]:
    return np.asarray(np.abs(picture.astype(int) - COLOURS[expression]).max(axis=2) <= 2)


def test_a_bin_is_the_mean_over_its_time() -> None:
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.uniform(0.005, 0.4, 200))
    rows = rng.dirichlet(np.ones(7), 200)
    timeline = Timeline()
    for seconds, row in zip(times.tolist(), rows, strict=True):
        timeline.add(seen(seconds, {1: row}))
    chart = timeline.chart()
    ((first, means),) = chart.bands[0].runs()
    fine = np.arange(first * chart.width, (first + len(means)) * chart.width, chart.width / 64) + chart.width / 128
    shown = rows[np.searchsorted(times, fine, side="right") - 1]
    oracle = shown.reshape(len(means), 64, 7).mean(axis=1)
    assert np.abs(means[1:-1] - oracle[1:-1]).max() < 0.03
    assert means.sum(axis=1) == pytest.approx(np.ones(len(means)))


def test_hours_of_video_take_no_more_memory_and_lose_no_time() -> None:
    timeline, picture = Timeline(), np.zeros((50, 100, 3), np.uint8)
    for look in range(4000):
        timeline.add(seen(9.0 * look, {1: "happy", 2 + look // 10: "sad"}), picture)
    chart = timeline.chart()
    assert 1024 <= (chart.end - chart.start) / chart.width <= 2048
    assert len(pickle.dumps(timeline)) < 5_000_000  # of which a thumbnail takes 28 kB
    assert chart.left_out == 401 - MOST_SHOWN
    longest = chart.bands[0]
    assert longest.track == 1
    assert len(longest.bins) == pytest.approx(36_000 / chart.width, abs=2)
    assert sum(total[-1] for total in longest.bins.values()) == pytest.approx(longest.seconds)


def test_where_a_face_was_not_seen_there_is_nothing(tmp_path: Path) -> None:
    timeline = Timeline()
    for frame in range(250):
        timeline.add(seen(frame / 25, {} if 75 <= frame < 150 else {1: "happy"}))
    (band,) = timeline.chart().bands
    starts = [(first / 64, (first + len(means)) / 64) for first, means in band.runs()]
    assert starts == [pytest.approx((0, 3), abs=0.02), pytest.approx((6, 10), abs=0.02)]
    columns = np.asarray(coloured(drawn(timeline, tmp_path), "happy")[130:180, 300:].all(axis=0))
    runs = [(bool(value), len(list(group))) for value, group in itertools.groupby(columns)]
    assert [value for value, _ in runs] == [True, False, True, False]
    assert [length / sum(length for _, length in runs[:3]) for _, length in runs[:3]] == pytest.approx(
        [0.29, 0.305, 0.405], abs=0.02
    )


def test_heights_are_probabilities_in_the_order_of_the_legend(tmp_path: Path) -> None:
    timeline = Timeline()
    for frame in range(50):
        timeline.add(seen(frame / 25, {1: [0.5, 0, 0, 0.25, 0, 0, 0.25]}))
    column = drawn(timeline, tmp_path)[110:200, 800:801]
    heights = {name: coloured(column, name)[:, 0].nonzero()[0] for name in ("angry", "happy", "neutral")}
    whole = sum(len(rows) for rows in heights.values())
    assert {name: len(rows) / whole for name, rows in heights.items()} == pytest.approx(
        {"angry": 0.5, "happy": 0.25, "neutral": 0.25}, abs=0.04
    )
    assert heights["angry"].max() < heights["happy"].min() < heights["neutral"].min()


def test_the_thumbnail_is_the_largest_view_inside_the_picture() -> None:
    astronaut = skimage.data.astronaut()
    other = np.full_like(astronaut, 90)
    timeline = Timeline()
    timeline.add(seen(0, {1: "happy"}, boxes=[(10, 10, 60, 60)]), other)
    timeline.add(seen(1, {1: "happy"}, boxes=[FACE]), astronaut)
    timeline.add(seen(2, {1: "happy"}, boxes=[(20, 20, 60, 70)]), other)
    timeline.add(seen(3, {1: "happy"}, boxes=[(-100, -100, 70, 70)]), other)  # larger, but mostly cut off
    timeline.add(seen(4, {1: "happy"}))
    (band,) = timeline.chart().bands
    assert band.view is not None
    left, top, right, bottom = FACE
    half = (bottom - top) * 0.62
    middle = ((left + right) / 2, (top + bottom) / 2)
    square = (middle[0] - half, middle[1] - half, middle[0] + half, middle[1] + half)
    oracle = Image.fromarray(astronaut).resize((96, 96), Image.Resampling.BICUBIC, box=square)
    assert np.abs(band.view.astype(float) - np.asarray(oracle)).mean() < 4


@pytest.mark.parametrize("box", [(-30, -30, 20, 20), (90, 60, 130, 120), (-500, -500, 600, 600), (5, 5, 5.2, 5.3)])
def test_a_face_beyond_the_edge_has_a_thumbnail_too(box: tuple[float, float, float, float]) -> None:
    timeline = Timeline()
    timeline.add(seen(0, {1: "happy"}, boxes=[box]), np.full((80, 100, 3), 77, np.uint8))
    (band,) = timeline.chart().bands
    assert band.view is not None
    assert band.view.shape == (96, 96, 3)
    assert (band.view == 77).all()


def test_faces_beyond_the_most_are_left_out_the_shortest_first(tmp_path: Path) -> None:
    timeline = Timeline()
    for frame in range(80):
        timeline.add(seen(frame / 8, {track: "sad" for track in range(1, 41) if frame < 2 * track}))
    chart = timeline.chart()
    assert sorted(band.track for band in chart.bands) == list(range(21, 41))
    assert chart.remark.endswith("Left out, as seen for less time: 20 faces.")
    high, wide, _ = drawn(timeline, tmp_path).shape
    assert (wide, high) == (1440, pytest.approx(2050, abs=60))


def test_no_face_and_no_frame_are_told(tmp_path: Path) -> None:
    empty = Timeline()
    assert empty.chart().remark == "No face was seen."
    assert drawn(empty, tmp_path).shape[1] == 1440
    for frame in range(10):
        empty.add(seen(frame / 25, {}))
    assert (empty.chart().remark, empty.chart().title) == ("No face was seen.", "a.mp4")
    empty.write(tmp_path / "t.html")
    assert "No face was seen." in (tmp_path / "t.html").read_text()


def test_a_face_that_is_seen_once_is_there(tmp_path: Path) -> None:
    timeline = Timeline()
    for frame in range(100):
        timeline.add(seen(frame / 25, {3: "fear"} if frame == 50 else {}))
    assert coloured(drawn(timeline, tmp_path), "fear")[120:190].sum() > 500
    alone = Timeline()
    alone.add(seen(0, {1: "fear"}))
    assert coloured(drawn(alone, tmp_path), "fear")[120:190].sum() > 500


def test_writing_changes_nothing_and_more_may_come(tmp_path: Path) -> None:
    one, other = Timeline(), Timeline()
    for frame in range(60):
        for timeline in (one, other):
            timeline.add(seen(frame / 20, {1: "happy", 2: "sad"}))
        if frame % 20 == 0:
            one.write(tmp_path / "one.html")
    one.write(tmp_path / "one.html")
    other.write(tmp_path / "other.html")
    other.write(tmp_path / "again.html")
    texts = [(tmp_path / name).read_text() for name in ("one.html", "other.html", "again.html")]
    assert texts[1] == texts[2]
    assert [band.seconds for band in one.chart().bands] == pytest.approx([3, 3])
    assert [len(band.runs()) for band in one.chart().bands] == [1, 1]
    assert [band.seconds for band in other.chart().bands] == pytest.approx([3, 3])


def test_a_face_that_comes_back_among_too_many_is_not_lost() -> None:
    timeline = Timeline()
    timeline.add(seen(0, {1: "happy"}), np.zeros((50, 50, 3), np.uint8))
    for look in range(1, 100):
        timeline.add(seen(look, {1 + look: "sad"}))
    timeline.add(seen(120, {1: "happy", 101: "sad"}), np.zeros((50, 50, 3), np.uint8))
    for look in range(121, 400):
        timeline.add(seen(look, {1: "happy"}))
    chart = timeline.chart()
    assert chart.left_out == 101 - MOST_SHOWN
    assert (chart.bands[0].track, chart.bands[0].first) == (1, 0)


@pytest.mark.parametrize("name", ["t.jpg", "t", "t.png.txt"])
def test_other_suffixes_are_refused(tmp_path: Path, name: str) -> None:
    for refuse in (Timeline().write, require_timeline):
        with pytest.raises(OutputError, match=rf"^a timeline's name must end in \.png or \.html, got .*{name}$"):
            refuse(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", ["png", "html"])
def test_a_folder_that_is_none_is_refused_in_a_line(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(OutputError, match=r"^cannot write .*: No such file or directory$"):
        Timeline().write(tmp_path / "none" / f"t.{suffix}")


def test_without_matplotlib_a_picture_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    require_timeline("t.html")
    with pytest.raises(ExtraError, match="needs more packages"):
        require_timeline("t.png")


def test_the_back_end_of_a_notebook_does_no_harm(tmp_path: Path) -> None:
    """Notebooks name their own for every command, also where it is not installed."""
    code = "from mien.visualize.timeline import Timeline; Timeline().write('t.png')"
    environment = os.environ | {"MPLBACKEND": "module://not_installed.backend"}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "t.png").stat().st_size > 1000


def test_pictures_are_refused() -> None:
    one = seen(0, {1: "happy"})
    with pytest.raises(ModelError, match="a timeline needs predictions of a video"):
        Timeline().add(Prediction("a.png", 0, one.faces, one.scores))


def test_other_expressions_have_colours_of_their_own(tmp_path: Path) -> None:
    names = ("happy", "contempt", "bored")
    timeline = Timeline()
    for frame in range(20):
        faces = Detections(np.array([[0, 0, 9, 9]]), np.ones(1, np.float32))
        scores = Scores(np.array([[0.5, 0.2, 0.3]]), names)
        timeline.add(Prediction("a.mp4", frame / 10, faces, scores, np.ones(1, np.int64)))
    chart = timeline.chart()
    assert len({chart.colour(name) for name in names}) == 3
    assert chart.colour("happy") == COLOURS["happy"]
    drawn(timeline, tmp_path)


@pytest.mark.parametrize(
    ("seconds", "fine", "text"),
    [
        (0, False, "0:00"),
        (59.7, False, "1:00"),
        (61, True, "1:01.0"),
        (59.96, True, "1:00.0"),
        (3725, False, "1:02:05"),
    ],
)
def test_times_are_told_as_on_a_clock(seconds: float, fine: bool, text: str) -> None:
    assert format_clock(seconds, fine=fine) == text


@pytest.mark.parametrize("span", [0.04, 0.9, 2, 30, 94, 600, 3 * 3600, 50 * 3600, 40 * 86400])
def test_the_time_axis_has_a_few_round_times(span: float) -> None:
    ticks = Chart(("a",), EXPRESSIONS, [], 0, 7, 7 + span, 1).ticks()
    assert 0 <= len(ticks) <= 42
    assert len({text for _, text in ticks}) == len(ticks)
    assert all(7 - 1e-6 <= seconds <= 7 + span + 1e-6 for seconds, _ in ticks)
    if 0.9 <= span <= 3 * 3600:
        assert 3 <= len(ticks) <= 11


NASTY = "</script><img src=x onerror=alert(1)>&amp;$x_1$ \N{CJK UNIFIED IDEOGRAPH-805A}"


def test_a_nasty_name_is_only_shown(tmp_path: Path) -> None:
    timeline = Timeline()
    for source, seconds in itertools.product((f"{NASTY}.mp4", f"{NASTY * 5}.mp4"), (0, 1)):
        timeline.add(seen(seconds, {1: "happy"}, source=source))
    drawn(timeline, tmp_path)
    timeline.write(tmp_path / "t.html")
    text = (tmp_path / "t.html").read_text()
    assert text.count("</script>") == 1
    assert "http:" not in text
    assert "https:" not in text
    assert "<img" not in text


@pytest.mark.browser
def test_the_page_in_a_browser(tmp_path: Path) -> None:
    timeline, astronaut = Timeline(), skimage.data.astronaut()
    for frame in range(100):
        one = "angry" if frame < 50 else "happy"
        faces = {1: one, 2: "sad"} if frame >= 75 else {1: one}
        boxes = [FACE, (10, 10, 60, 60)][: len(faces)]
        timeline.add(seen(frame / 10, faces, boxes=boxes, source=f"{NASTY}.mp4"), astronaut)
    timeline.write(tmp_path / "t.html")
    with browsing(tmp_path) as page:
        page.get((tmp_path / "t.html").as_uri())
        assert page.execute_script("return document.querySelector('h1').textContent") == f"{Path(NASTY).name}.mp4"
        assert page.execute_script(
            "return [...document.querySelectorAll('.who b')].map((node) => node.textContent)"
        ) == [
            "#1",
            "#2",
        ]
        assert page.execute_script("return document.querySelector('.who img').naturalWidth") == 96
        assert page.execute_script("return document.querySelectorAll('.legend li').length") == 7
        pixel = """
            const canvas = document.querySelectorAll('canvas')[BAND];
            const at = Math.floor(SHARE * canvas.width), row = Math.floor(canvas.height / 2);
            return [...canvas.getContext('2d').getImageData(at, row, 1, 1).data].slice(0, 3)"""
        for band, share, colour in (
            (0, 0.2, COLOURS["angry"]),
            (0, 0.8, COLOURS["happy"]),
            (1, 0.5, (0, 0, 0)),
            (1, 0.9, COLOURS["sad"]),
        ):
            script = pixel.replace("BAND", str(band)).replace("SHARE", str(share))
            assert page.execute_script(script) == list(colour)
        hover = """
            const plot = document.querySelector('.plot'), edges = plot.getBoundingClientRect();
            plot.dispatchEvent(new PointerEvent('pointermove',
              {clientX: edges.left + edges.width * 0.25, clientY: edges.top + 5}));
            const tip = document.querySelector('.tip');
            return [getComputedStyle(tip).display, ...[...tip.children].slice(0, 2).map((node) => node.textContent)]"""
        assert page.execute_script(hover) == ["block", "#10:02.5", "angry100%"]
        assert page.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        assert console_errors(page) == []

import io
import os
import struct
import subprocess
import sys
import tempfile
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import pytest
from PIL import Image, ImageOps

from mien.detect.align import crop_face, roll_angle
from mien.errors import DataError
from mien.io.image import MAX_PIXELS, read_picture
from mien.io.pixels import to_face, to_grey

RAMP = np.arange(48 * 48, dtype=np.uint16).reshape(48, 48) * 28  # 0 to 64484


def coloured(height: int = 40, width: int = 60) -> np.ndarray:
    """Smooth and without symmetry, so that every orientation and channel order shows."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 4, y * 6, 255 - x * 2 - y], axis=2).astype(np.uint8)


def saved(image: Image.Image, path: Path, **options: Any) -> Path:
    image.save(path, **options)
    return path


def png(rows: bytes, *, side: int, bits: int, colours: int) -> bytes:
    """A square PNG file, put together by hand."""
    header = struct.pack(">IIBBBBB", side, side, bits, colours, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    parts = [
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "ppm", "gif", "webp", "jpg", "avif", "jp2"])
def test_every_format_comes_out_as_rgb(tmp_path: Path, suffix: str) -> None:
    picture = coloured()
    options = {"lossless": True} if suffix == "webp" else {"quality": 100} if suffix in ("jpg", "avif") else {}
    read = read_picture(saved(Image.fromarray(picture), tmp_path / f"picture.{suffix}", **options))
    assert read.shape == (40, 60, 3)
    assert read.dtype == np.uint8
    exact = suffix in ("png", "bmp", "tif", "ppm", "webp")
    assert np.abs(read.astype(int) - picture).mean() <= (0 if exact else 16 if suffix == "gif" else 2)


def test_what_is_read_belongs_to_the_caller(tmp_path: Path) -> None:
    picture = read_picture(saved(Image.fromarray(coloured()), tmp_path / "a.png"))
    picture[:] = 0
    assert not picture.any()


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_come_out_upright(tmp_path: Path, suffix: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 100} if suffix == "jpg" else {"lossless": True} if suffix == "webp" else {}
    path = saved(Image.fromarray(coloured()), tmp_path / f"a.{suffix}", exif=exif, **options)
    with Image.open(path) as image:
        upright = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    assert upright.shape == ((40, 60, 3) if orientation < 5 else (60, 40, 3))
    assert (read_picture(path) == upright).all()


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0II*\0\xff\xff\xff\x7f", b"Exif\0\0garbage", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"]
)
def test_broken_metadata_does_not_matter(tmp_path: Path, exif: bytes) -> None:
    path = saved(Image.fromarray(coloured()), tmp_path / "a.jpg", exif=exif)
    assert read_picture(path).shape == (40, 60, 3)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I;16", "I", "F"])
def test_every_mode_that_a_tiff_can_have(tmp_path: Path, mode: str) -> None:
    if mode == "P":
        image = Image.new("RGB", (9, 7), "red").quantize(4)
    else:
        image = Image.new(mode, (9, 7), Image.new(mode, (1, 1)).getpixel((0, 0)))
    read = read_picture(saved(image, tmp_path / "a.tif"))
    assert read.shape == (7, 9, 3)
    assert read.dtype == np.uint8


def test_cmyk_jpeg_is_read_in_its_colours(tmp_path: Path) -> None:
    image = Image.new("RGB", (32, 32), (200, 40, 40)).convert("CMYK")
    assert np.abs(read_picture(saved(image, tmp_path / "a.jpg", quality=95)).astype(int) - (200, 40, 40)).max() < 6


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_pictures_lie_on_white(tmp_path: Path, mode: str) -> None:
    image = Image.new(mode, (4, 2))
    opaque, clear, half = ((0, 0, 0), (90, 90, 90), (0, 0, 0)) if mode == "RGBA" else ((0,), (90,), (0,))
    image.putpixel((0, 0), (*opaque, 255))
    image.putpixel((1, 0), (*clear, 0))
    image.putpixel((2, 0), (*half, 128))
    read = read_picture(saved(image, tmp_path / "a.png"))
    assert read[0, :3, 1].tolist() == [0, 255, 127]


def test_a_transparent_palette_colour_lies_on_white(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    read = read_picture(saved(image, tmp_path / "a.png", transparency=bytes([255, 0])))
    assert read[0].tolist() == [[10, 20, 30], [255, 255, 255]]


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_16_bits_are_scaled_and_not_clipped(tmp_path: Path, suffix: str) -> None:
    read = read_picture(saved(Image.fromarray(RAMP), tmp_path / f"a.{suffix}"))
    assert np.abs(read[..., 0] - RAMP / 257).max() <= 0.5
    assert (read[..., 0] == read[..., 2]).all()


def test_16_bit_colour_is_scaled() -> None:
    picture = np.stack([RAMP, RAMP[::-1], RAMP.T], axis=2)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in picture)
    read = read_picture(io.BytesIO(png(rows, side=48, bits=16, colours=2)))
    assert np.abs(read - picture / 257).max() <= 1


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 0.5, 1]], np.float32), [0, 128, 255]),
        (np.array([[0, 51, 255]], np.float32), [0, 51, 255]),
        (np.array([[0, 2570, 65535]], np.float32), [0, 10, 255]),
        (np.array([[-1, 0, 1]], np.float32), [0, 128, 255]),
        (np.array([[0, np.nan, 1]], np.float32), [0, 0, 255]),
        (np.array([[-0.02, 0.5, 1.02]], np.float32), [0, 128, 255]),
        (np.array([[0, 51, 255]], np.int32), [0, 51, 255]),
        (np.array([[0, 257, 65535]], np.int32), [0, 1, 255]),
        (np.array([[0, 1 << 29, 1 << 30]], np.int32), [0, 128, 255]),
        (np.array([[0, 2048, 4095]], np.uint16), [0, 128, 255]),
        (np.array([[0, 300, 1023]], np.int32), [0, 75, 255]),
        (np.array([[0, 4, 8]], np.float32), [0, 128, 255]),
        (np.array([[0, np.inf, 1]], np.float32), [0, 255, 255]),
    ],
)
def test_wide_values_are_scaled_by_their_white(tmp_path: Path, values: np.ndarray, expected: list[int]) -> None:
    read = read_picture(saved(Image.fromarray(values), tmp_path / "a.tif"))
    assert read[0, :, 0].tolist() == expected


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tif"])
def test_an_animation_is_its_first_frame(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((200, 0, 0), (0, 200, 0), (0, 0, 200))]
    path = saved(frames[0], tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:])
    assert np.abs(read_picture(path).astype(int) - (200, 0, 0)).max() <= 6


def test_a_48x48_grey_file_comes_through_bit_for_bit(tmp_path: Path) -> None:
    face = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
    path = saved(Image.fromarray(face), tmp_path / "Gesicht größer 顔.png")
    assert (to_face(read_picture(path)) == face).all()
    assert (to_face(face) == face).all()


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "webp", "tif", "bmp"])
@pytest.mark.parametrize("kept", [0, 3, 40, 400])
def test_a_picture_cut_short_is_an_error_that_names_the_file(tmp_path: Path, suffix: str, kept: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    path = saved(Image.fromarray(noise), tmp_path / f"cut.{suffix}")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match=rf"cut\.{suffix}") as error:
        read_picture(path)
    assert "\n" not in str(error.value)


def test_damaged_pictures_are_read_or_refused_but_nothing_else(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    refused = 0
    for suffix in ("png", "jpg", "gif", "tif", "webp", "jp2"):
        whole = saved(Image.fromarray(coloured()), tmp_path / f"a.{suffix}").read_bytes()
        for _ in range(60):
            damaged = bytearray(whole)
            for place in random.integers(0, len(whole), 8):
                damaged[place] = random.integers(0, 256)
            try:
                assert read_picture(io.BytesIO(damaged)).ndim == 3
            except DataError:
                refused += 1
    assert refused > 60


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("not a picture\n")
    with pytest.raises(DataError, match=r"notes\.jpg must be a picture"):
        read_picture(tmp_path / "notes.jpg")
    with pytest.raises(DataError, match="no such file"):
        read_picture(tmp_path / "none.jpg")
    with pytest.raises(DataError, match="got a folder"):
        read_picture(tmp_path)
    with pytest.raises(DataError, match="must not be empty"):
        read_picture("")
    with pytest.raises(DataError, match="the picture must be a picture"):
        read_picture(io.BytesIO(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"))


def test_a_picture_beyond_the_limit_is_one_clear_error(tmp_path: Path) -> None:
    huge = png(b"", side=20_000, bits=8, colours=2)
    (tmp_path / "huge.png").write_bytes(huge)
    with pytest.raises(DataError, match=r"huge\.png must be at most 120,000,000 pixels large"):
        read_picture(tmp_path / "huge.png")


def test_a_tiny_file_that_claims_a_large_picture_is_refused() -> None:
    claims = png(zlib.compress(b""), side=9000, bits=8, colours=2)
    with pytest.raises(DataError, match=r"the picture cannot be read: it claims 9000 x 9000 pixels in \d\d bytes"):
        read_picture(claims)


def test_a_jpeg_of_thousands_of_scans_is_refused() -> None:
    file = io.BytesIO()
    Image.new("L", (2000, 2000), 128).save(file, "JPEG", progressive=True)
    content = file.getvalue()
    assert read_picture(content).shape == (2000, 2000, 3)
    tables = content.rfind(b"\xff\xc4")  # of the last scan, which ends with the file's last two bytes
    many = content[:-2] + content[tables:-2] * 5000 + content[-2:]
    with pytest.raises(DataError, match=r"it has 5,0\d\d scans of 4,000,000 pixels; save it as another JPEG"):
        read_picture(many)


def test_a_large_picture_is_read_without_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(Image.fromarray(coloured()), tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)
    with pytest.warns(Image.DecompressionBombWarning):
        Image.open(path).close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_picture(path).shape == (40, 60, 3)


def test_grey_is_itu_601() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (50, 50, 3), np.uint8)
    luma = picture @ np.array([0.299, 0.587, 0.114])
    assert np.abs(to_grey(picture) - luma).max() < 0.51
    assert (to_grey(np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, 2))[0] == np.arange(256)).all()


def test_to_face_averages_what_it_makes_smaller() -> None:
    checks = (np.indices((480, 480)).sum(axis=0) % 2 * 255).astype(np.uint8)
    assert np.abs(to_face(checks)[4:-4, 4:-4].astype(int) - 127).max() <= 2
    assert to_face(coloured(31, 97)).shape == (48, 48)


@pytest.mark.parametrize(
    ("box", "margin"), [((10, 20, 58, 68), 0), ((30.25, 40.5, 126.25, 136.5), 0), ((60, 50, 80, 70), 0.4)]
)
def test_crop_face_shows_what_lies_in_the_square(box: tuple[float, ...], margin: float) -> None:
    y, x = np.mgrid[0:200, 0:240]
    side = (box[2] - box[0]) * (1 + 2 * margin)
    for ramp, first in ((x, box[0]), (y, box[1])):
        face = crop_face(ramp.astype(np.uint8), box, margin=margin)
        along = face[24] if ramp is x else face[:, 24]
        start = first - (side - (box[2] - box[0])) / 2
        assert np.abs(along - (start + (np.arange(48) + 0.5) * side / 48 - 0.5)).max() <= 1


def test_crop_face_is_square_around_a_long_box() -> None:
    x = np.mgrid[0:200, 0:240][1]
    wide, tall = crop_face(x.astype(np.uint8), (50, 90, 150, 110)), crop_face(x.astype(np.uint8), (90, 50, 110, 150))
    assert (wide == tall).all()
    assert wide[24, [0, -1]].tolist() == [51, 148]


@pytest.mark.parametrize("degrees", [0.001, 20, -35, 90, 180])
def test_crop_face_turns_the_square_clockwise(degrees: float) -> None:
    y, x = np.mgrid[0:400, 0:400]
    turn, across = np.radians(degrees), (np.arange(48) + 0.5) / 48 - 0.5
    for ramp, right, down in ((x, np.cos(turn), -np.sin(turn)), (y, np.sin(turn), np.cos(turn))):
        face = crop_face((ramp / 2).astype(np.uint8), (140, 140, 240, 240), degrees=degrees)
        expected = (190 - 0.5 + 100 * (across[None] * right + across[:, None] * down)) / 2
        assert np.abs(face - expected).max() <= 1.5


def test_tilt_is_the_slope_between_the_eyes() -> None:
    landmarks = np.zeros((5, 2), np.float32)
    landmarks[1] = (10, 10)
    assert roll_angle(landmarks) == pytest.approx(45)
    landmarks[1] = (10, -10)
    assert roll_angle(landmarks) == pytest.approx(-45)
    landmarks[1] = (np.nan, 3)
    assert roll_angle(landmarks) == 0


def test_beyond_the_edge_the_edge_goes_on() -> None:
    picture = coloured(100, 100)
    face = crop_face(picture, (-100, -100, 100, 100))
    assert (face[:20, :20] == to_grey(picture)[0, 0]).all()
    assert (crop_face(picture, (300, 300, 348, 348)) == to_grey(picture)[-1, -1]).all()


def test_crop_face_of_the_whole_square_is_the_face_itself() -> None:
    face = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
    assert (crop_face(face, (0, 0, 48, 48)) == face).all()


@pytest.mark.parametrize(
    "picture", [np.zeros((4, 4), np.float32), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4), np.uint8)]
)
def test_other_arrays_are_refused(picture: np.ndarray) -> None:
    with pytest.raises(DataError, match="a picture must be"):
        to_face(picture)
    with pytest.raises(DataError, match="a picture must be"):
        crop_face(picture, (0, 0, 4, 4))


def chunk(name: bytes, body: bytes, *, sound: bool = True) -> bytes:
    """A chunk of a PNG file."""
    check = zlib.crc32(name + body) ^ (not sound)
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", check)


BOMB = b"bomb\0\0" + zlib.compress(bytes(80_000_000))


@pytest.mark.parametrize(
    "damaged",
    [
        chunk(b"tEXt", b"Comment\0hello", sound=False),
        chunk(b"zTXt", b"Comment\0\0no zlib"),
        chunk(b"zTXt", BOMB),
        chunk(b"iCCP", BOMB),
        chunk(b"iTXt", b"a\0\1\0\0\0" + zlib.compress(bytes(80_000_000))),
        chunk(b"eXIf", b"II*\0garbage"),
        chunk(b"gAMA", b"", sound=False),
        chunk(b"tIME", b"abc", sound=False),
    ],
    ids=["text", "no zlib", "bomb", "profile", "itxt", "exif", "gamma", "time"],
)
@pytest.mark.parametrize("at_end", [False, True])
def test_damage_beside_the_pixels_does_not_matter(damaged: bytes, at_end: bool) -> None:
    file = io.BytesIO()
    Image.fromarray(coloured()).save(file, "PNG")
    place = -12 if at_end else 33
    content = file.getvalue()[:place] + damaged + file.getvalue()[place:]
    assert (read_picture(content) == coloured()).all()


def test_a_picture_that_is_all_but_black_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As Pillow reads colours of 12 bits in 16."""
    path = saved(Image.fromarray(coloured() // 20), tmp_path / "dark.png")
    read_picture(path)
    (message,) = caplog.messages
    assert message.startswith(f"{path} is all but black: 99.9% of its pixels are darker than 16 of 255")
    read_picture(saved(Image.fromarray(coloured()), path))
    assert len(caplog.messages) == 1


@pytest.mark.parametrize(("bright", "black"), [(39, True), (40, False)])
@pytest.mark.parametrize("offset", [0, 3])  # a tenth of the rows and columns is looked at first, from 0 on
def test_black_is_told_by_a_thousandth_of_all_pixels(
    offset: int, bright: int, black: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    picture = np.zeros((200, 200, 3), np.uint8)
    rows, columns = np.divmod(np.arange(bright), 20)
    picture[rows * 10 + offset, columns * 10 + offset, 1] = 16
    read_picture(saved(Image.fromarray(picture), tmp_path / "dark.png"))
    assert bool(caplog.messages) is black


def test_a_picture_in_which_all_is_transparent_is_seen_as_it_is() -> None:
    file = io.BytesIO()
    clear = np.concatenate([coloured(), np.zeros((40, 60, 1), np.uint8)], axis=2)
    Image.fromarray(clear).save(file, "PNG")
    assert (read_picture(file) == coloured()).all()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "an empty file"),
        (b"%PDF-1.7", "a PDF file"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41", "a video"),
        (b"\xff\x0a" + bytes(40), "JPEG XL"),
        (b"PK\3\4", "a zip archive"),
        (b"hello", "something else"),
    ],
)
def test_what_is_no_picture_is_named(content: bytes, said: str) -> None:
    with pytest.raises(DataError, match=f"must be a picture .*, got {said}$"):
        read_picture(content)


def heic(picture: np.ndarray) -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(picture)).save(file, quality=95)
    return file.getvalue()


def test_heic_is_read_whatever_it_is_called(tmp_path: Path) -> None:
    smooth = np.array(Image.fromarray(coloured()).resize((120, 80)))
    (tmp_path / "IMG_1.jpg").write_bytes(heic(smooth))
    picture = read_picture(tmp_path / "IMG_1.jpg")
    assert picture.shape == (80, 120, 3)
    assert np.abs(picture.astype(int) - smooth).mean() < 4


def test_heic_without_its_package_names_the_ways_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200))
    with pytest.raises(DataError, match=r"IMG_1\.HEIC is a HEIC picture; .*pip install .*hei[cf].*, or save it as"):
        read_picture(tmp_path / "IMG_1.HEIC")


def test_damaged_heic_is_one_clear_error() -> None:
    whole = heic(coloured())
    for kept in (40, len(whole) // 2):
        with pytest.raises(DataError, match="the picture cannot be read"):
            read_picture(whole[:kept])


@pytest.mark.linux
def test_a_pipe_or_device_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    for path in (tmp_path / "a.jpg", Path("/dev/zero")):
        with pytest.raises(DataError, match="is a pipe or a device"):
            read_picture(path)


@pytest.mark.linux
def test_a_pipe_by_the_systems_name_is_read() -> None:
    """As shells give them: `mien predict <(command)`."""
    file = io.BytesIO()
    Image.fromarray(coloured()).save(file, "PNG")
    reader, writer = os.pipe()
    os.write(writer, file.getvalue())
    os.close(writer)
    assert (read_picture(f"/dev/fd/{reader}") == coloured()).all()
    os.close(reader)


def test_a_text_file_that_is_open_is_refused_as_one() -> None:
    with pytest.raises(DataError, match="must be open in binary mode"):
        read_picture(cast("IO[bytes]", io.StringIO("text")))


def test_a_name_with_a_zero_byte_is_of_no_file() -> None:
    with pytest.raises(DataError, match="there is no such file"):
        read_picture("a\0b.png")


def test_a_caller_may_allow_fewer_pixels() -> None:
    file = io.BytesIO()
    Image.fromarray(coloured(20, 10)).save(file, "PNG")
    assert read_picture(file.getvalue(), max_pixels=200).shape == (20, 10, 3)
    with pytest.raises(DataError, match="at most 199 pixels"):
        read_picture(file.getvalue(), max_pixels=199)


@pytest.mark.linux
def test_a_pixel_takes_eight_bytes_so_the_largest_picture_fits(tmp_path: Path) -> None:
    side = 5000  # with transparency, which takes the most
    (tmp_path / "large.png").write_bytes(png(bytes((1 + 4 * side) * side), side=side, bits=8, colours=6))
    code = (
        "import sys; from resource import getrusage; from mien.io.image import MAX_PIXELS, read_picture\n"
        "before = getrusage(0).ru_maxrss; read_picture(sys.argv[1]); print(getrusage(0).ru_maxrss - before)"
    )
    ended = subprocess.run([sys.executable, "-c", code, tmp_path / "large.png"], capture_output=True, check=True)
    taken = int(ended.stdout) * 1024 / side**2
    assert taken < 8.3
    assert 8.3 * MAX_PIXELS < 1e9


def test_warnings_are_kept_back_in_threads_and_come_back_after() -> None:
    exif = b"Exif\0\0II*\0\xff\xff\xff\x7f"
    file = io.BytesIO()
    Image.fromarray(coloured(400, 400)).save(file, "JPEG", exif=exif)
    before = list(warnings.filters)
    with warnings.catch_warnings(), ThreadPoolExecutor(4) as pool:
        warnings.simplefilter("error")
        assert len(list(pool.map(read_picture, [file.getvalue()] * 40))) == 40
    assert warnings.filters == before


def test_a_file_that_may_not_be_read_is_not_called_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "a.png").touch()
    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(DataError, match=r"a\.png cannot be read: Permission denied"):
        read_picture(tmp_path / "a.png")


@pytest.mark.linux
def test_pictures_are_read_after_a_fork_at_a_bad_moment() -> None:
    code = """
import os, sys, threading
from mien.io.image import read_picture
from mien.io.pixels import quietly
inside, done = threading.Event(), threading.Event()
def hold():
    with quietly._lock:
        inside.set()
        done.wait()
threading.Thread(target=hold, daemon=True).start()
inside.wait()
child = os.fork()
if not child:
    os._exit(read_picture(sys.argv[1]).shape != (40, 60, 3))
done.set()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    with tempfile.TemporaryDirectory() as folder:
        path = saved(Image.fromarray(coloured()), Path(folder, "a.png"))
        command = [sys.executable, "-W", "ignore", "-c", code, str(path)]
        assert subprocess.run(command, check=False, timeout=30).returncode == 0

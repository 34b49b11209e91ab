"""Formats of pictures, told by the end of a file's name and by its first bytes."""

import zlib
from pathlib import Path

# What Pillow reads here, whatever a file is called. Its other formats are rare, and some of them start other programs.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF", "JPEG2000")

# Pictures by their names; HEIC and HEIF need the extra `heic`.
PICTURE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff")
    + (".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".jp2", ".j2k", ".heic", ".heif", ".hif")
)
# Pictures that are not read, which is said of each; other files are only counted.
UNREAD_SUFFIXES = frozenset((".jxl", ".psd", ".tga", ".svg", ".pcx", ".exr"))

START = 64  # bytes that tell a format

_STARTS = (  # how files begin: the place, the bytes there, the format
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"GIF8", "GIF"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (8, b"WEBP", "WEBP"),
    (4, b"jP  \r\n", "JPEG2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG2000"),
    (0, b"\xff\x0a", "JPEG XL"),
    (4, b"JXL \r\n", "JPEG XL"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"\x76\x2f\x31\x01", "OpenEXR"),
    (0, b"%PDF", "a PDF file"),
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"\x1aE\xdf\xa3", "a video"),
    (8, b"AVI ", "a video"),
    (4, b"ftyp", "a video"),
)
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_OF_USE = (b"tRNS", b"eXIf")  # chunks that a reader may leave out, but that change what is seen
_TEXTS = ((b"<svg", "an SVG drawing"), (b"<!doctype html", "a web page"), (b"<html", "a web page"), (b"<?xml", "XML"))
_HEIC = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")


def format_of(start: bytes) -> str:
    """Return the format of a file by how it begins, in words for an error such as "a PDF file"; "" where it is unclear.

    start: the first bytes of the file, `START` of them or fewer.
    """
    if start[4:8] == b"ftyp":
        brands = start[8 : max(int.from_bytes(start[:4], "big"), 12)]
        if b"avif" in brands or b"avis" in brands:
            return "AVIF"
        if any(brand in brands for brand in _HEIC):
            return "HEIC"
    for place, content, name in _STARTS:
        if start.startswith(content, place):
            return name
    text = start.lstrip().lower()
    return next((name for content, name in _TEXTS if text.startswith(content)), "")


def starts_as_picture(path: str | Path) -> bool:
    """Return whether a file begins as a picture of a format that is read. False where it cannot be opened."""
    try:
        with Path(path).open("rb") as file:
            return format_of(file.read(START)) in (*FORMATS, "HEIC")
    except OSError:
        return False


def without_damaged_chunks(content: bytes) -> bytes:
    """Return a PNG file without what its pixels can do without, such as texts, profiles and damaged chunks.

    Pillow refuses a picture for damage there, where browsers show it.
    """
    place, kept = len(_PNG), [content[: len(_PNG)]]
    while place + 12 <= len(content):
        length = int.from_bytes(content[place : place + 4], "big")
        chunk = content[place : place + 12 + length]
        if not chunk[4:8].isalpha():  # it is no PNG file from there on
            return content
        name, whole = chunk[4:8], zlib.crc32(chunk[4:-4]).to_bytes(4, "big") == chunk[-4:]
        if name[:1].isupper() or (name in _PNG_OF_USE and whole):
            kept.append(chunk)
        place += len(chunk)
    return b"".join(kept)

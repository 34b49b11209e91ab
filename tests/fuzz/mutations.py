"""Ways to damage a file: bits, lengths, numbers, and values of JSON, TOML and CSV, as damage and attackers would."""

import io
import re
import struct
import zipfile
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

_TYPES = ("<f8", "<i4", "S3", "<U9", "|b1", "<M8[s]")

Random = np.random.Generator

_NUMBERS = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 40, (1 << 64) - 1]
_WORDS = [
    *("", "-1", "0", "1e999", "NaN", "-Infinity", "null", "true", "[]", "{}", '""', '"\\ud800"', "1" * 400, "9" * 30),
    *("[" * 5000 + "]" * 5000, '{"a":' * 3000 + "1" + "}" * 3000, '"\\u0000"', "1000000000", "1e-300", "-0.0"),
]


def flip_bits(content: bytes, random: Random) -> bytes:
    """Flip some bits anywhere, or near the beginning, where formats keep their sizes."""
    damaged = bytearray(content)
    reach = len(damaged) if random.random() < 0.5 else min(len(damaged), 200)
    for place in random.integers(0, max(reach, 1), random.integers(1, 12)):
        if damaged:
            damaged[place] ^= 1 << int(random.integers(0, 8))
    return bytes(damaged)


def set_number(content: bytes, random: Random) -> bytes:
    """Write a number of 1, 2, 4 or 8 bytes that programs trip over."""
    size = int(random.choice([1, 2, 4, 8]))
    number = int(random.choice(np.array(_NUMBERS, object))) & ((1 << 8 * size) - 1)
    reach = len(content) if random.random() < 0.5 else min(len(content), 200)
    place = int(random.integers(0, max(reach - size, 1)))
    written = number.to_bytes(size, "little" if random.random() < 0.5 else "big")
    return content[:place] + written + content[place + size :]


def cut(content: bytes, random: Random) -> bytes:
    """Cut a file short."""
    return content[: random.integers(0, len(content) + 1)]


def repeat(content: bytes, random: Random) -> bytes:
    """Repeat, drop or move a part."""
    start, end = sorted(random.integers(0, len(content) + 1, 2).tolist())
    times = int(random.choice([0, 2, 2, 40]))
    return content[:start] + content[start:end] * times + content[end:]


def insert_noise(content: bytes, random: Random) -> bytes:
    """Put noise somewhere in."""
    place = int(random.integers(0, len(content) + 1))
    noise = random.integers(0, 256, int(random.integers(1, 400)), np.uint8).tobytes()
    return content[:place] + noise + content[place:]


def replace_number(content: bytes, random: Random) -> bytes:
    """Put an odd word in the place of a number or a text in JSON, TOML or CSV."""
    places = [found.span() for found in re.finditer(rb'"[^"\n]*"|-?\d[\d.eE+-]*', content)]
    if not places:
        return insert_noise(content, random)
    start, end = places[int(random.integers(0, len(places)))]
    return content[:start] + _WORDS[int(random.integers(0, len(_WORDS)))].encode() + content[end:]


def drop_line(content: bytes, random: Random) -> bytes:
    """Drop, repeat or swap lines."""
    lines = content.split(b"\n")
    one, other = random.integers(0, len(lines), 2).tolist()
    lines[one], lines[other] = lines[other], lines[one]
    if random.random() < 0.5:
        del lines[one]
    return b"\n".join(lines)


def change_member(content: bytes, random: Random) -> bytes:
    """Change an array of an .npz file: its type, its shape, what its header claims, or how it is packed."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
    except Exception:  # noqa: BLE001  # it is damaged already
        return flip_bits(content, random)
    name = str(random.choice(list(members)))
    ways: list[Callable[[], bytes]] = [
        lambda: _array(np.zeros(int(random.choice([0, 1, 7])), str(random.choice(_TYPES)))),
        lambda: re.sub(rb"\((\d+),", lambda _: b"(%d," % random.choice([0, 10**9, 10**15]), members[name], count=1),
        lambda: flip_bits(members[name], random),
        lambda: members[name].replace(b"'descr': '", b"'descr': '|O", 1),
        lambda: bytes(1_000_000),
    ]
    members[name] = ways[int(random.integers(0, len(ways)))]()
    packed = io.BytesIO(_bomb() if random.random() < 0.05 else b"")
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_DEFLATED) as archive:
        for each, body in members.items():
            archive.writestr(each, body)
    return packed.getvalue()


@cache
def _bomb() -> bytes:
    """Return an archive of some MB with a member of 1.5 GB."""
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("more.npy", "w", force_zip64=True) as member,
    ):
        for _ in range(150):
            member.write(bytes(10_000_000))
    return packed.getvalue()


def _array(values: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def change_header(content: bytes, random: Random) -> bytes:
    """Change the JSON header of a safetensors file."""
    length = struct.unpack("<Q", content[:8])[0] if len(content) >= 8 else 0
    header = replace_number(content[8 : 8 + length], random)
    return struct.pack("<Q", len(header)) + header + content[8 + length :]


ANY = (flip_bits, set_number, cut, repeat, insert_noise)
TEXT = (replace_number, replace_number, drop_line, cut, repeat, insert_noise, flip_bits)
OF_SUFFIX: dict[str, tuple[Callable[[bytes, Random], bytes], ...]] = {
    ".json": TEXT,
    ".toml": TEXT,
    ".csv": TEXT,
    ".txt": TEXT,
    ".npz": (change_member, change_member, *ANY),
    ".safetensors": (change_header, change_header, *ANY),
    ".onnx": (replace_number, *ANY),
}


def mutate(content: bytes, suffix: str, random: Random) -> bytes:
    """Damage a file in one to three ways."""
    ways = OF_SUFFIX.get(suffix, ANY)
    for _ in range(int(random.choice([1, 1, 1, 2, 3]))):
        content = ways[int(random.integers(0, len(ways)))](content, random)
    return content

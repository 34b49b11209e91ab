"""The type of a file by its first bytes, to name it when it is not the model that was hoped for."""

_KINDS: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself (fetch it with: git lfs pull)"),
    (b"PK\x03\x04", "a zip archive, such as a face set (.npz) or a PyTorch checkpoint"),
    (b"\x89HDF", "an HDF5 file, such as a Keras model"),
    (b"\x80", "a Python pickle, such as an old PyTorch checkpoint; mien never reads pickles"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"PAR1", "a Parquet table"),
    (b"<", "a web page or XML, as a failed download leaves behind"),
    (b"{", "JSON text"),
)


def kind_of(head: bytes) -> str | None:
    """Return what a file is that starts with `head` (at least its first 16 bytes), or None where it may be ONNX."""
    if not head:
        return "an empty file"
    if head[4:8] == b"TFL3":
        return "a TensorFlow Lite model"
    if head[8:9] == b"{" and head[4:8] == bytes(4):
        return "a safetensors file, which holds weights without a net"
    text = all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in head)
    return next((kind for start, kind in _KINDS if head.startswith(start)), "text, such as a recipe" if text else None)

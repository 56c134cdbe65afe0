"""What the towers read of a text: token ids, cut to length with their markers kept, and where words are.

Nothing here knows a tokenizer's kind: WordPiece with [CLS] and [SEP], byte-level BPE without markers and
Unigram all tell markers from text, and where in the text each token stands.
"""

from collections.abc import Sequence

from tokenizers import Encoding, Tokenizer

from reranker.text.word_tokens import is_cjk

Span = tuple[int, int]


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

"""The type of a query, told by its looks. Each type has its own mix of keyword and vector scores."""

import re
import unicodedata

from reranker.text.intent import MAX_QUERY
from reranker.text.numbers import is_measure, is_model_number, is_unit
from reranker.types import QueryType

_SENTENCE_WORDS = 5
_HEAD_WORDS = 2
_MODEL_DIGITS = 3
"""So many digits on their own are a model number; fewer tell a version (`windows 10`, `iphone 13`)."""

_IDENTIFIER_DIGITS = 4
"""Digits that an id, a barcode or a part number has at least."""

_PRICE_WORDS = frozenset({
    "under", "below", "over", "above", "max", "maximum", "than", "to", "between", "and", "around", "about",
    "unter", "bis", "über", "ab", "moins", "menos", "usd", "eur", "gbp",
})  # fmt: skip
_PRICE_UNITS = frozenset({"usd", "eur", "euro", "euros", "gbp", "dollar", "dollars", "pounds", "bucks"})
_CURRENCIES = tuple("$€£¥₹元")

_HAN, _KANA = "\u3400-\u4dbf\u4e00-\u9fff", "\u3040-\u30ff"
_WORD = re.compile(rf"[{_HAN}]+|[{_KANA}]+|[^\W_{_HAN}{_KANA}]+(?:[-./'][^\W_{_HAN}{_KANA}]+)*%?")
_IS_HAN = re.compile(rf"[{_HAN}]")
_FUNCTION_WORD = re.compile(
    "a|an|and|are|at|by|can|do|does|for|from|how|i|if|in|into|is|it|my|need|of|on|or|that|the|this|to|under|"
    "want|what|when|where|which|who|why|with|without|you|your"
)
_ASKING = re.compile("什么|怎么|如何|哪|吗|多少|推荐|ですか|おすすめ")


def classify_query(text: str) -> QueryType:
    """Return the type of a query. Two Han characters count as one word, and so does a run of kana.

    Only the first 1,000 characters are read.
    """
    text = unicodedata.normalize("NFKC", text[:MAX_QUERY]).casefold()
    words = _WORD.findall(text)
    if any(map(_names_model, words, [*words[1:], ""])):
        return QueryType.MODEL
    count = sum((len(word) + 1) // 2 if _IS_HAN.match(word) else 1 for word in words)
    spoken = count > _HEAD_WORDS and any(map(_FUNCTION_WORD.fullmatch, words))
    if count >= _SENTENCE_WORDS or spoken or text.rstrip().endswith("?") or _ASKING.search(text):
        return QueryType.SENTENCE
    return QueryType.HEAD if count <= _HEAD_WORDS else QueryType.PHRASE


def find_model_numbers(text: str) -> tuple[str, ...]:
    """Return the model numbers of a query, case-folded, and its numbers of three digits or more.

    Measures (`500 gb`, `1080p`) are none, nor are prices (`under 200`, `$500`).
    """
    text = unicodedata.normalize("NFKC", text[:MAX_QUERY]).casefold()
    words = list(_WORD.finditer(text))
    numbers = []
    for n, match in enumerate(words):
        following = words[n + 1][0] if n + 1 < len(words) else ""
        before = words[n - 1][0] if n else ""
        is_price = match[0].isdecimal() and (
            before in _PRICE_WORDS
            or following in _PRICE_UNITS
            or text[: match.start()].rstrip()[-1:] in _CURRENCIES
            or text[match.end() :].lstrip()[:1] in _CURRENCIES
        )
        if _names_model(match[0], following) and not is_price:
            numbers.append(match[0])
    return tuple(dict.fromkeys(numbers))


def names_one_model(text: str) -> bool:
    """Return whether a query has a model number that is long enough to be of one product, unlike `ps4`."""
    return any(sum(map(str.isdecimal, number)) >= _MODEL_DIGITS for number in find_model_numbers(text))


def is_identifier(text: str) -> bool:
    """Whether a query is nothing but a number by which one thing is known: an id, a barcode, a part number.

    Each of its words has four digits or more and is not a measure (`1080p`), or all together are digits.
    """
    words = text.split()
    digits = sum(map(str.isdecimal, text))
    if not words or not digits:
        return False
    if all(letter.isdecimal() or letter in " -./" for letter in text):
        return digits >= _IDENTIFIER_DIGITS
    return all(
        sum(map(str.isdecimal, word)) >= _IDENTIFIER_DIGITS and not is_measure(word.casefold())
        for word in words
    )


def _names_model(word: str, following: str) -> bool:
    """Whether `word` is a model number, or three digits or more with no unit behind them."""
    if word.isdecimal():
        return len(word) >= _MODEL_DIGITS and not is_unit(following)
    return is_model_number(word)

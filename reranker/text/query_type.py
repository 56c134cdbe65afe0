"""Telling types of queries apart by their looks, in microseconds: each is best served by its own mix."""

import re
import unicodedata
from enum import StrEnum


class QueryType(StrEnum):
    """What a query looks like: a model number decides first, then a sentence, then the number of words."""

    MODEL = "model"
    """A model number is in it: `TN-2110`, `sony wh1000xm4 case`, `lego 75192`."""
    SENTENCE = "sentence"
    """Written as one speaks: five words or more, or three with a function word among them, or a question."""
    HEAD = "head"
    """One or two words: `laptop`, `gaming mouse`, `手机`."""
    PHRASE = "phrase"
    """Three or four words: `noise cancelling headphones`."""


SENTENCE_WORDS = 5
HEAD_WORDS = 2
MODEL_DIGITS = 3
"""So many digits on their own are a model number; fewer tell a version (`windows 10`, `iphone 13`)."""

_HAN, _KANA = "\u3400-\u4dbf\u4e00-\u9fff", "\u3040-\u30ff"
_WORD = re.compile(rf"[{_HAN}]+|[{_KANA}]+|[^\W_{_HAN}{_KANA}]+(?:[-./'][^\W_{_HAN}{_KANA}]+)*%?")
_IS_HAN = re.compile(rf"[{_HAN}]")
_UNITS = (
    "a|ah|amps?|bit|cl|cm|core|count|ct|d|days?|dpi|drawer|feet|fps|ft|g|gb|gbps|ghz|grams?|h|hours?|hz|i|in|"
    "inch|inches|k|kg|khz|kv|kw|l|lbs?|m|mah|mb|mbps|mhz|ml|mm|months?|mp|nd|nm|oz|p|packs?|pcs?|persons?|"
    "pieces?|pin|ports?|rd|s|seater|sets?|st|t|tb|th|tier|v|volts?|w|watts?|way|wh|x|yd|years?"
)
_MEASURE = re.compile(rf"[0-9]+(?:[x./'-]+[0-9]+)*(?:{_UNITS})?(?:[x/-][0-9]+(?:{_UNITS})?)*")
_UNIT = re.compile(_UNITS)
_MODEL = re.compile(r"(?=.*[0-9])(?=.*[^\W\d_])")
_FUNCTION_WORD = re.compile(
    "a|an|and|are|at|by|can|do|does|for|from|how|i|if|in|into|is|it|my|need|of|on|or|that|the|this|to|under|"
    "want|what|when|where|which|who|why|with|without|you|your"
)
_ASKING = re.compile("什么|怎么|如何|哪|吗|多少|推荐|ですか|おすすめ")


def classify_query(text: str) -> QueryType:
    """Tell what `text` looks like. Two Han characters count as a word, a run of kana as one."""
    text = unicodedata.normalize("NFKC", text).casefold()
    found = _WORD.findall(text)
    if any(map(_is_model, found, [*found[1:], ""])):
        return QueryType.MODEL
    count = sum((len(word) + 1) // 2 if _IS_HAN.match(word) else 1 for word in found)
    spoken = count > HEAD_WORDS and any(map(_FUNCTION_WORD.fullmatch, found))
    if count >= SENTENCE_WORDS or spoken or text.rstrip().endswith("?") or _ASKING.search(text):
        return QueryType.SENTENCE
    return QueryType.HEAD if count <= HEAD_WORDS else QueryType.PHRASE


def _is_model(word: str, following: str) -> bool:
    """Whether `word` mixes letters and digits, or is a number with no unit behind it; no measure does."""
    if word.isdecimal():
        return len(word) >= MODEL_DIGITS and not _UNIT.fullmatch(following)
    return bool(_MODEL.match(word)) and not _MEASURE.fullmatch(word)

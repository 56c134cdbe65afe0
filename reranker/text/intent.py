"""Intent words: what a shopper says of buying and not of the product, such as "buy" and 购买.

新款 (the latest) is one as well: which product is new no title tells, and it advertises clothes above all.

They are left out of a query before it is encoded, compared word by word, and searched by keyword. Only at its
two ends: inside, or before what makes another word of them, they belong to a name (Best Buy, 买手店).
"""

import re
from collections.abc import Sequence

from reranker.text.chinese import simplify_characters
from reranker.text.word_tokens import is_cjk

_BEFORE = {
    "english": "i want to|i would like to|i'd like to|i need to|i want|i need|i'm looking for|looking for"
    "|searching for|search for|shopping for|shop for|where can i|where to|buy|purchase|show me|find me",
    "german": "ich möchte|ich suche|ich brauche|ich will|suche|kaufen",
    "french": "je cherche|je veux|je voudrais|acheter",
    "spanish": "quiero|necesito|busco|comprar",
    "chinese": "请问|我想要|我想买|我想|我要买|我要|我们要|想要|想买|要买|哪里有卖|哪里可以|哪里能|哪里|在哪"
    "|怎么|如何|帮我找|帮我|给我|购买|选购|求购|网购|代购|求推荐|推荐|搜索|查找|寻找|买(?!手|家|单|断)"
    "|最新款的?|最新的?|新款的?",
}
_AFTER = {
    "english": "to buy|for sale|buy online|buy",
    "german": "online kaufen|kaufen",
    "french": "à acheter|acheter",
    "spanish": "para comprar|comprar",
    "chinese": "哪里有卖|哪里可以买|哪里能买|哪里买|在哪里买|在哪买|怎么买"
    "|如何购买|怎么购买|求推荐|推荐|购买|选购|多少钱",
    "japanese": "を買いたい|を買う|を購入|が欲しい|購入|通販",
    "korean": "구매하기|구매|구입|추천",
}
"""By language: what may stand before the product, and after it."""

_UNSPACED = frozenset({"chinese", "japanese", "korean"})
_ARTICLE = r"(?:(?:an?|some|eine?n?|une?|des|una?|unos|unas)\s+)?"
_COUNTED = "(?:一[台部个件款双条套张把只]|[几一]款|一些|一下)?"


def _either(phrases: dict[str, str], spaced: bool) -> str:
    return simplify_characters(
        "|".join(
            alternatives
            for language, alternatives in phrases.items()
            if (language not in _UNSPACED) == spaced
        )
    )


def _compile(before: Sequence[str], after: Sequence[str]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return the patterns of what is left out at both ends, with a domain's phrases beside the shop's."""
    leading = [
        rf"(?:{_join(_either(_BEFORE, True), before, True)})\s+{_ARTICLE}",
        rf"(?:{_join(_either(_BEFORE, False), before, False)})\s*{_COUNTED}",
    ]
    trailing = [
        rf"\s+(?:{_join(_either(_AFTER, True), after, True)})",
        rf"\s*(?:{_join(_either(_AFTER, False), after, False)})",
    ]
    return (
        re.compile(rf"^\s*(?:{'|'.join(leading)})+", re.IGNORECASE),
        re.compile(rf"(?:{'|'.join(trailing)})*[\s?？!！。]*$", re.IGNORECASE),
    )


def _join(own: str, domain: Sequence[str], spaced: bool) -> str:
    phrases = [simplify_characters(phrase) for phrase in domain if any(map(is_cjk, phrase)) != spaced]
    return "|".join([*sorted(phrases, key=len, reverse=True), own])


_leading, _trailing = _compile((), ())


def use_phrases(before: Sequence[str], after: Sequence[str]) -> None:
    """Leave out a domain's intent words too, in this process, in place of another domain's."""
    global _leading, _trailing
    _leading, _trailing = _compile(before, after)


INTENT_WORDS = frozenset(re.findall(r"[^\W\d_]{2,}", _either(_BEFORE, True) + _either(_AFTER, True)))
"""Words of the phrases, of languages that are written with spaces."""

_MAX_PHRASE = 400
"""Characters of the longest text that intent words are sought in: nobody types a longer search."""

MAX_QUERY = 1000
"""Characters of a query that are read."""


def trim_query(text: str) -> str:
    """Return what the model reads of a query: at most 1,000 characters, without intent words at its ends."""
    return strip_intent(text)[:MAX_QUERY]


def strip_intent(text: str) -> str:
    """Return `text` without intent words at its ends. It stays as it is where nothing else would be left.

    A text of more than 400 characters stays as it is, too.
    """
    if len(text) > _MAX_PHRASE:
        return text
    read = simplify_characters(text)  # as long as the text
    leading = _leading.match(read)
    start = leading.end() if leading else 0
    end = start + len(_trailing.sub("", read[start:]))
    remainder = text[start:end].strip()
    return remainder if any(map(str.isalnum, remainder)) else text

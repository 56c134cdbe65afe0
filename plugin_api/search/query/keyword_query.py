"""The keyword query over an Attune index."""

from mappings import fields
from mappings.types import JsonObject
from reranker.text.intent import strip_intent
from reranker.text.word_tokens import is_cjk

_KEYWORD_OPTIONS = {
    "type": "cross_fields",
    "operator": "or",
    "minimum_should_match": "2<67%",
    "tie_breaker": 0.3,
}
"""Up to two words must all match, in any fields; of three and more, two thirds.

Whole-catalogue nDCG@10 on the electronics judgements is 0.778; 0.769 where all of three words must match;
0.765 where any two of three must match in the same field.
"""

_UNSPACED_OPTIONS = {"minimum_should_match": "2<50%"}
"""Half of Chinese and Japanese words is enough: every second pair of characters spans two words."""


_IDENTIFIER_BOOST = 100.0
"""A product whose id, SKU or GTIN is the whole query scores above every product that has its words."""


def keyword_query(text: str, filters: tuple[JsonObject, ...] = (), minimum_match: str = "") -> JsonObject:
    """Return the keyword query over an Attune index that `attune search`, the demo and the benchmarks use.

    Intent words ("buy", 购买) are left out. A product with the whole text as an identifier is found too,
    however the text is spaced or dashed. `minimum_match` is how many words must match in a domain where that
    is other than in a shop.
    """
    words = strip_intent(text)
    options = _KEYWORD_OPTIONS | (_UNSPACED_OPTIONS if any(map(is_cjk, words)) else {})
    if minimum_match:
        options = {**options, "minimum_should_match": minimum_match}
    by_words: JsonObject = {"multi_match": {"query": words, "fields": list(fields.TEXT_FIELDS), **options}}
    by_identifier: JsonObject = {"match": {fields.IDENTIFIERS: {"query": words, "boost": _IDENTIFIER_BOOST}}}
    query: JsonObject = {"dis_max": {"queries": [by_words, by_identifier]}}
    return {"bool": {"must": [query], "filter": list(filters)}} if filters else query

"""Which piece of text each token vector stands for: a query's, and a product's stored ones."""

from collections.abc import Iterator
from dataclasses import dataclass

from tokenizers import Tokenizer

from mappings.types import Product
from reranker.encoders.product_encoder import tokenise_products
from reranker.text.intent import trim_query
from reranker.text.product_text import build_product_text, list_pooled_fields
from reranker.text.subword_tokens import select_tokens


@dataclass(frozen=True, slots=True)
class TokenText:
    """The text of one token vector; `field` is the product's that it comes from, empty for a query."""

    text: str
    field: str = ""


def list_query_tokens(text: str, tokenizer: Tokenizer, most: int) -> list[TokenText]:
    """Return what the rows of encode_query's `tokens` stand for; one empty text where it has no token."""
    phrase = trim_query(text)
    encoding = tokenizer.encode(phrase)
    rows = [i for i in select_tokens(encoding, most) if not encoding.special_tokens_mask[i]]
    if not rows:
        # Nothing but markers, or nothing at all: encode_query's rows are the markers then.
        return [TokenText("")] * max(len(select_tokens(encoding, most)), 1)
    spans = (encoding.offsets[i] for i in rows)
    return [TokenText(phrase[start:end]) for start, end in spans]


def list_product_tokens(product: Product, tokenizer: Tokenizer, most: int, stored: int) -> list[TokenText]:
    """Return the word, and its field, of each token vector that encode_products stores of a product."""
    text = build_product_text(product)
    [row] = tokenise_products(tokenizer, [text], most)
    joined = f"{text.pooled} {text.attended}"
    starts = list(_field_starts(product, len(text.pooled)))
    span_of: dict[int, tuple[int, int]] = {}
    for group, (start, end) in zip(row.words, row.spans, strict=True):
        if group >= 0:
            first, last = span_of.get(group, (start, end))
            span_of[group] = (min(first, start), max(last, end))
    words = [span_of[group] for group in sorted(span_of)[:stored]]
    if not words:  # no word to speak of: encode_products stores the first state
        return [TokenText(joined.strip(), starts[0][0] if starts else "")]
    return [
        TokenText(joined[start:end], next((name for name, at in reversed(starts) if at <= start), ""))
        for start, end in words
    ]


def _field_starts(product: Product, pooled: int) -> Iterator[tuple[str, int]]:
    """Yield where each field begins: pooled fields are joined by ". ", attributes follow."""
    at = 0
    for name, part in list_pooled_fields(product):
        yield name, at
        at += len(part) + 2
    yield "attributes", pooled + 1

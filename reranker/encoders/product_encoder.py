"""The product side: text → GPT-2 token states → one k-NN vector and a few projected token vectors."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from tokenizers import Encoding, Tokenizer

from mappings.types import Product
from reranker.encoders.codec import normalise, pack_product
from reranker.encoders.onnx_tower import Tower
from reranker.text.product_text import (
    ProductText,
    build_product_text,
    list_attribute_values,
    list_other_spellings,
)
from reranker.text.subword_tokens import Span, group_by_word, locate_tokens, select_tokens
from reranker.text.word_tokens import WordHashes, hash_words, split_words
from reranker.types import EncodedProduct, Floats


def encode_products(
    products: Sequence[Product],
    tokenizer: Tokenizer,
    tower: Tower,
    projection: Floats,
    most: int,
    stored: int,
    bits: int = 8,
    threads: int = 1,
) -> list[EncodedProduct]:
    """Encode products, in the order given, of at most `most` tokens each; keep at most `stored` token
    vectors, of `bits` a component.

    Each is run by itself: int8 scales are taken of everything that a tower reads at once, and a product's
    vectors must depend on nothing but the product. So `threads` can share them out, each core at work on one
    product: on two cores 500 products/s, where a tower that splits each operation over both makes 300.
    """
    rows = tokenise_products(tokenizer, [build_product_text(p) for p in products], most)

    def encoded(row: TokenRow, product: Product) -> EncodedProduct:
        states = tower.states(np.array([row.ids], dtype=np.int64), np.array([len(row.ids)]))[0]  # (T, d)
        return _encoded(states, row, product, projection, stored, bits)

    if threads == 1 or len(rows) < 2:
        return list(map(encoded, rows, products))
    with ThreadPoolExecutor(min(threads, len(rows))) as pool:
        return list(pool.map(encoded, rows, products))


@dataclass(frozen=True, slots=True)
class TokenRow:
    """What a tower reads of one product: `[CLS] pooled text [SEP] attended text`, markers where it has them.

    The first `pooled` of `ids` are averaged into the vector; `words` numbers the word of each token, -1
    where it has none; `spans` says where each stands in pooled text + 1 character + attended text.
    """

    ids: list[int]
    pooled: int
    words: list[int]
    spans: list[Span]

    def head(self) -> "TokenRow":
        """Return the row without the attended text."""
        n = self.pooled
        return TokenRow(self.ids[:n], n, self.words[:n], self.spans[:n])


def tokenise_products(tokenizer: Tokenizer, texts: Sequence[ProductText], most: int) -> list[TokenRow]:
    """Tokenise product texts to at most `most` tokens each, the pooled text's first.

    One by one: `encode_batch` runs on threads that the library starts at its first use, which keep the
    priority of that moment. On a busy machine a rebuild that began in idle time waited for them to its end.
    """
    heads = [tokenizer.encode(t.pooled) for t in texts]
    tails = [tokenizer.encode(t.attended, add_special_tokens=False) for t in texts]
    return [_row(head, tail, text, most) for head, tail, text in zip(heads, tails, texts, strict=True)]


def _row(head: Encoding, tail: Encoding, text: ProductText, most: int) -> TokenRow:
    ids, groups, where = head.ids, group_by_word(head, text.pooled), locate_tokens(head, len(text.pooled), 0)
    stay = select_tokens(head, most)
    if len(stay) < len(ids):
        ids, groups, where = [ids[i] for i in stay], [groups[i] for i in stay], [where[i] for i in stay]
    if not ids:
        ids, groups, where = [0], [-1], [(0, 0)]  # a text without one token still needs a vector
    room = most - len(ids)
    after = max(groups) + 1
    tail_groups = [group if group < 0 else after + group for group in group_by_word(tail, text.attended)]
    tail_spans = locate_tokens(tail, len(text.attended), len(text.pooled) + 1)
    return TokenRow(ids + tail.ids[:room], len(ids), groups + tail_groups[:room], where + tail_spans[:room])


def _encoded(
    states: Floats, row: TokenRow, product: Product, projection: Floats, stored: int, bits: int
) -> EncodedProduct:
    vector = normalise(states[: row.pooled].mean(0))
    tokens = average_words(states, row.words, stored) @ projection
    return EncodedProduct(vector, pack_product(vector, normalise(tokens), hash_product_words(product), bits))


def average_words(states: Floats, groups: Sequence[int], most: int) -> Floats:
    """Mean state of each word (n, d), in order, at most `most` words; tokens of group -1 are left out."""
    member = np.array(groups)
    numbers = np.unique(member[member >= 0])[:most]
    if not len(numbers):
        return states[:1]
    weights = (member[None, :] == numbers[:, None]).astype(np.float32)  # (n, T)
    result: Floats = (weights / weights.sum(1, keepdims=True)) @ states
    return result


def hash_product_words(product: Product) -> list[WordHashes]:
    """Return the word hashes of title, brand, category and everything else."""
    other = " ".join([product.description, *list_attribute_values(product), *list_other_spellings(product)])
    return [hash_words(split_words(text)) for text in (product.title, product.brand, product.category, other)]

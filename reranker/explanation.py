"""Why a product scores as it does for a query: what each input of the MLP moves, and who attends to what.

Every figure is a comparison that was made, in log-odds: the score as it is, less the score with one thing
taken away (occlusion; Zeiler and Fergus 2014). So a contribution says exactly what removing its cause does.
What contributions don't do is add up to the score: inputs overlap, and so do words.

    feature        its value is replaced by the mean it had in training (Scorer.mean)
    interaction    the same for all components of the pooled interaction at once
    query word     the query is encoded again without the word
    product word   its token vector can't be attended to
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from tokenizers import Tokenizer

from mappings.types import Product
from reranker.encoders.codec import WORD_FIELDS, StoredBatch, select_hash_bits, unpack_products
from reranker.encoders.token_spans import TokenText, list_product_tokens, list_query_tokens
from reranker.fusion import FEATURES, HEADS, Scorer, build_scorer_inputs, compute_attention
from reranker.model import ModelConfig
from reranker.text.intent import trim_query
from reranker.text.word_tokens import hash_words, split_words
from reranker.types import EncodedProduct, EncodedQuery, Floats

INTERACTION = "interaction"
"""Name of the pooled interaction among the features: t components, removed together."""

_SAME_TOKEN = 0.7
"""Cosine above which a stored token vector is taken for that of the same word encoded again.

Encoding again differs by how quantisation scales a batch: on 300 products of the demo the same word's is
0.81 or more, that of two words 0.27 in the middle (bits; int8 is closer).
"""

_MAX_QUERY_WORDS = 12


class ExplainableModel(Protocol):
    """What explaining needs of a model; reranker.model.Model is one."""

    @property
    def config(self) -> ModelConfig:
        """Lengths and widths."""

    @property
    def tokenizer(self) -> Tokenizer:
        """The query encoder's tokenizer."""

    @property
    def product_tokenizer(self) -> Tokenizer:
        """The product encoder's tokenizer."""

    @property
    def scorer(self) -> Scorer:
        """Fusion and MLP."""

    def encode_query(self, text: str) -> EncodedQuery:
        """Encode one query."""

    def encode_products(self, products: Sequence[Product]) -> list[EncodedProduct]:
        """Encode products, in the order given."""


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one input does: `log_odds` is the score's less what it is with the value at `typical`.

    `value` and `typical` are the pooled interaction's length where all its components are meant.
    """

    name: str
    value: float
    typical: float
    log_odds: float


@dataclass(frozen=True, slots=True)
class QueryWord:
    """One word of the query: the product's fields that have it, and what it adds to the score's log-odds.

    `log_odds` is None where nothing of the query would be left without it, or it has too many words.
    """

    text: str
    fields: tuple[str, ...]
    log_odds: float | None


@dataclass(frozen=True, slots=True)
class AttentionMap:
    """From the query's Lq tokens to the product's K: attention weights, cosines, what each column adds."""

    query: tuple[TokenText, ...]
    product: tuple[TokenText, ...]
    weights: Floats  # (Lq, K) rows sum to 1
    cosines: Floats  # (Lq, K)
    log_odds: Floats  # (K,) NaN for an only one


@dataclass(frozen=True, slots=True)
class Explanation:
    """A score taken apart. `log_odds` is the heads', averaged by their weights; `heads` are probabilities.

    `as_stored` tells whether the product was scored by its stored form, as a search does, or by the given
    text, because the stored form is missing or holds other text.
    """

    log_odds: float
    heads: dict[str, float]
    features: tuple[Contribution, ...]
    words: tuple[QueryWord, ...]
    attention: AttentionMap
    as_stored: bool


def explain(
    model: ExplainableModel,
    text: str,
    product: Product,
    stored: bytes | None = None,
    weights: Sequence[float] = (1.0, 0.0, 0.0),
) -> Explanation:
    """Explain the score of `product` for the query `text`, the heads (fusion.HEADS) weighted by `weights`.

    Says nothing that is not in `product`'s own text: `stored`, its `attune.tokens`, is scored only where it
    holds nothing else. Raises ModelError for malformed bytes.
    """
    query = model.encode_query(text)
    width = query.tokens.shape[1]
    [again] = model.encode_products([product])
    batch = unpack_products([again.stored], len(query.vector), width)
    as_stored = False
    if stored is not None:
        original = unpack_products([stored], len(query.vector), width)
        as_stored = matches_product(original, batch, product)
        batch = original if as_stored else batch
    share = np.asarray(weights, dtype=np.float64)
    share /= share.sum()
    inputs = _inputs(model, query, batch)  # (1, F + t)
    logits = model.scorer.logits(inputs)[0]  # (H,)
    log_odds = float(logits @ share)
    return Explanation(
        log_odds=log_odds,
        heads={name: _sigmoid(float(logit)) for name, logit in zip(HEADS, logits, strict=True)},
        features=_features(model.scorer, inputs[0], share),
        words=_query_words(model, query, batch, share, log_odds),
        attention=_attention(model, query, batch, product, share, log_odds),
        as_stored=as_stored,
    )


def matches_product(stored: StoredBatch, again: StoredBatch, product: Product) -> bool:
    """Whether a stored form has no word and no token vector but those of the product's text, encoded again.

    Both batches are of one product. A word counts as the product's wherever in the same field it stands, also
    in an attribute that is a number.
    """
    if stored.tokens.shape != again.tokens.shape:
        return False
    texts = (product.title, product.brand, product.category, _other(product))
    for text, field_words in zip(texts, stored.list_field_words(0), strict=True):
        if not np.isin(field_words, select_hash_bits(hash_words(split_words(text)))).all():
            return False
    ours, theirs = stored.tokens[0], again.tokens[0]  # (K, t)
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    cosines = (ours * theirs).sum(1) / np.maximum(lengths, np.float32(1e-9))
    return bool((cosines > _SAME_TOKEN).all() and stored.vectors[0] @ again.vectors[0] > _SAME_TOKEN)


def _other(product: Product) -> str:
    # What reads as a number may have been text in the catalogue, and is then among the stored words.
    return " ".join([product.description, *map(_shown, product.attributes.values())])


def _shown(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _inputs(model: ExplainableModel, query: EncodedQuery, batch: StoredBatch) -> Floats:
    return build_scorer_inputs(query, batch, model.scorer.temperature, model.scorer.idf_table)


def _features(scorer: Scorer, inputs: Floats, share: np.ndarray) -> tuple[Contribution, ...]:
    n = len(FEATURES)
    removed = np.tile(inputs, (n + 2, 1))  # (F + 2, F + t): as it is, without each feature, no interaction
    for i in range(n):
        removed[i + 1, i] = scorer.mean[i]
    removed[n + 1, n:] = scorer.mean[n:]
    log_odds = scorer.logits(removed) @ share  # (F + 2,)
    moved = log_odds[0] - log_odds[1:]
    named = [
        Contribution(name, float(inputs[i]), float(scorer.mean[i]), float(moved[i]))
        for i, name in enumerate(FEATURES)
    ]
    value, typical = (float(np.linalg.norm(row[n:])) for row in (inputs, scorer.mean))
    return (*named, Contribution(INTERACTION, value, typical, float(moved[n])))


def _query_words(
    model: ExplainableModel, query: EncodedQuery, batch: StoredBatch, share: np.ndarray, total: float
) -> tuple[QueryWord, ...]:
    pieces = trim_query(query.text).split()
    stored_words = batch.list_field_words(0)
    result: list[QueryWord] = []
    for i, piece in enumerate(pieces):
        hashes = select_hash_bits(hash_words(split_words(piece)))
        where = tuple(
            name
            for name, field_words in zip(WORD_FIELDS, stored_words, strict=True)
            if len(hashes) and np.isin(hashes, field_words).all()
        )
        rest = " ".join(pieces[:i] + pieces[i + 1 :])
        log_odds = None
        if rest and len(pieces) <= _MAX_QUERY_WORDS:
            without = model.scorer.logits(_inputs(model, model.encode_query(rest), batch))[0]
            log_odds = total - float(without @ share)
        result.append(QueryWord(piece, where, log_odds))
    return tuple(result)


def _attention(
    model: ExplainableModel,
    query: EncodedQuery,
    batch: StoredBatch,
    product: Product,
    share: np.ndarray,
    total: float,
) -> AttentionMap:
    weights, cosines, _ = compute_attention(query.tokens, batch, model.scorer.temperature)
    count = batch.tokens.shape[1]
    moved = np.full(count, np.nan, dtype=np.float32)
    if count > 1:
        for k in range(count):
            hidden = replace(batch, mask=batch.mask & (np.arange(count) != k))
            moved[k] = total - float(model.scorer.logits(_inputs(model, query, hidden))[0] @ share)
    config = model.config
    query_texts = list_query_tokens(query.text, model.tokenizer, config.query_tokens)
    product_texts = list_product_tokens(
        product, model.product_tokenizer, config.product_tokens, config.stored_tokens
    )
    return AttentionMap(tuple(query_texts), tuple(product_texts), weights[0], cosines[0], moved)


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-min(max(logit, -30.0), 30.0)))

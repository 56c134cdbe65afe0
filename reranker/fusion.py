"""Attention fusion and the MLP: from one encoded query and n stored products to n probabilities.

Attention(X, Y) = softmax(X·Yᵀ/τ)·Y, from every BERT query token (rows of X) to a product's GPT-2 token
vectors (rows of Y), both unit vectors in one space, so X·Yᵀ are cosines and τ takes the place of √d. Then
the interaction of X with what it attended to, pooled over the query's tokens; then an MLP (Dense 128, ReLU →
Dense 1, sigmoid) over that and the named scalar features. Training
(reranker.training.scoring.scorer) calls the same `build_scorer_inputs` for its inputs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from reranker.encoders.codec import WORD_FIELDS, StoredBatch, unpack_products
from reranker.text.numbers import classify_number
from reranker.text.word_tokens import WordHashes, hash_words
from reranker.types import EncodedQuery, Floats

HIDDEN_UNITS = 128
"""Width of the MLP's hidden layer."""

FEATURES = (
    "cosine",
    "token_match",
    "token_attended",
    "token_worst",
    "title",
    "brand",
    "category",
    "other",
    "all_words",
    "model_exact",
    "model_partial",
    "units",
    "brand_is_query",
    "title_focus",
)
"""Scalar features in the order of the MLP's input:

cosine          pooled query vector · pooled product vector
token_match     mean over query tokens of their best cosine with a product token
token_attended  mean cosine of a query token with what it attended to
token_worst     the worst-matched query token's best cosine
title, brand, category, other
                BM25 of the query in that field alone, over the best that any field could have
all_words       share of the query's words found anywhere
model_exact     share of the query's model numbers (letters and digits) found whole; 1 where it has none
model_partial   share of the query's words with a digit found anywhere; 1 where it has none
units           share of its numbers with units (128gb, 5 mm) found anywhere; 1 where it has none
brand_is_query  1 where every word of the brand is in the query
title_focus     share of the title's words that the query names
"""

HEADS = ("relevance", "click", "purchase")
"""What the MLP's outputs are the probabilities of; all share the hidden layer."""

_K1, _B = 1.2, 0.75


@dataclass(frozen=True, slots=True)
class IdfTable:
    """How rare words are in a catalogue, for BM25 over stored words.

    `idf` (65536,) is by the lower 16 bits of a word's hash; `lengths` (4,) are the mean numbers of words of
    stored.FIELDS.
    """

    idf: Floats
    lengths: Floats


@dataclass(frozen=True, slots=True)
class Scorer:
    """Parameters of the fusion and the MLP; F features, t components a token vector, H = len(HEADS).

    A head that nothing was learnt for equals the first, relevance. `anchor` are slope and shift of the
    log-odds of relevance over training's prior, as judged lists had them; NaN where none were.
    """

    temperature: float
    idf_table: IdfTable
    mean: Floats  # (F + t,)
    scale: Floats  # (F + t,)
    hidden: Floats  # (F + t, 128)
    hidden_bias: Floats  # (128,)
    output: Floats  # (128, H)
    output_bias: Floats  # (H,)
    anchor: Floats = field(default_factory=lambda: np.full(2, np.nan, dtype=np.float32))

    def logits(self, inputs: Floats) -> Floats:
        """Map fused inputs (n, F + t) to each head's log-odds (n, H)."""
        x = (inputs - self.mean) * self.scale
        h = np.maximum(x @ self.hidden + self.hidden_bias, 0)  # (n, 128)
        result: Floats = h @ self.output + self.output_bias
        return result

    def probability(self, inputs: Floats, weights: Sequence[float] = (1.0, 0.0, 0.0)) -> Floats:
        """Map fused inputs (n, F + t) to probabilities (n,): the heads' log-odds, averaged by `weights`."""
        share = np.asarray(weights, dtype=np.float32)
        logit = self.logits(inputs) @ (share / share.sum())  # (n,)
        result: Floats = 1 / (1 + np.exp(-np.clip(logit, -30, 30)))
        return result


def score_products(
    scorer: Scorer,
    query: EncodedQuery,
    stored: Sequence[bytes],
    weights: Sequence[float] = (1.0, 0.0, 0.0),
) -> Floats:
    """Return the probability (n,) of each product, the heads weighted by `weights` (H,).

    `stored` is what `attune.tokens` holds of each. The first stage's scores have no part in it: a
    probability speaks of a query and a product, whatever else was found.
    Raises ModelError for malformed bytes.
    """
    if not stored:
        return np.empty(0, dtype=np.float32)
    batch = unpack_products(stored, len(query.vector), query.tokens.shape[1])
    return scorer.probability(
        build_scorer_inputs(query, batch, scorer.temperature, scorer.idf_table), weights
    )


def build_scorer_inputs(
    query: EncodedQuery, batch: StoredBatch, temperature: float, idf_table: IdfTable
) -> Floats:
    """Return the MLP's inputs (n, F + t): scalar features, then the pooled interaction."""
    attended, best = attend(query.tokens, batch, temperature)  # (n, Lq, t), (n, Lq)
    interaction = attended * query.tokens  # (n, Lq, t)
    closeness = interaction.sum(2)  # (n, Lq)
    features = np.stack(
        [
            batch.vectors @ query.vector,
            best.mean(1),
            closeness.mean(1),
            best.min(1),
            *_word_features(query, batch, idf_table),
        ],
        axis=1,
    ).astype(np.float32)  # (n, F)
    return np.concatenate([features, interaction.mean(1)], axis=1)


def attend(x: Floats, batch: StoredBatch, temperature: float) -> tuple[Floats, Floats]:
    """Attend from query tokens x (Lq, t) to each product's token vectors.

    Returns what each token attended to (n, Lq, t), as unit rows, and its best cosine (n, Lq).
    """
    weights, cosines = compute_attention(x, batch, temperature)  # (n, Lq, K), (n, Lq, K)
    return np.matmul(weights, batch.tokens), cosines.max(2)


def compute_attention(x: Floats, batch: StoredBatch, temperature: float) -> tuple[Floats, Floats]:
    """Return how much each query token of x (Lq, t) attends to each product token, and their cosines.

    Both are (n, Lq, K); weights sum to 1 over K. Where a product has no token the weight is 0, the cosine -1.
    """
    n, most, width = batch.tokens.shape
    cosines = (batch.tokens.reshape(n * most, width) @ x.T).reshape(n, most, len(x)).transpose(0, 2, 1)
    cosines = np.where(batch.mask[:, None, :], cosines, np.float32(-1.0))
    weights = np.exp((cosines - cosines.max(2, keepdims=True)) / np.float32(temperature))
    weights *= batch.mask[:, None, :]
    weights /= np.maximum(weights.sum(2, keepdims=True), np.float32(1e-9))
    return weights, cosines


def _word_features(query: EncodedQuery, batch: StoredBatch, idf_table: IdfTable) -> list[Floats]:
    """Return each word feature of FEATURES (n,), in their order."""
    n = len(batch.ends)
    asked: WordHashes = hash_words(query.words)  # (w,)
    flat_ends = batch.ends.ravel()
    counts = np.diff(flat_ends, prepend=0)  # (n * 4,) words in each candidate's field
    owner = np.repeat(np.arange(n * len(WORD_FIELDS)), counts)  # (W,)
    found = np.zeros((n * len(WORD_FIELDS), len(asked)), dtype=bool)
    hits, which = np.nonzero(np.equal.outer(batch.words, asked))
    found[owner[hits], which] = True
    by_field = found.reshape(n, len(WORD_FIELDS), len(asked))
    sizes = counts.reshape(n, len(WORD_FIELDS))
    named = np.bincount(owner[np.unique(hits)], minlength=n * len(WORD_FIELDS)).reshape(n, len(WORD_FIELDS))
    anywhere: NDArray[np.bool_] = np.asarray(by_field.any(1))  # (n, w)

    idf = idf_table.idf[asked & 0xFFFF]  # (w,)
    long = 1 - _B + _B * sizes / np.maximum(idf_table.lengths, 1)  # (n, 4)
    keyword = by_field @ idf / max(float(idf.sum()), 1e-6)  # (n, 4)
    bm25 = keyword * (_K1 + 1) / (1 + _K1 * long) / ((_K1 + 1) / (1 + _K1 * (1 - _B)))

    kinds = [classify_number(word) for word in query.words]
    size = max(len(asked), 1)
    return [
        *bm25.T,
        anywhere.sum(1) / size,
        _share(anywhere, [kind == "model" for kind in kinds]),
        _share(anywhere, [kind != "" for kind in kinds]),
        _share(anywhere, [kind == "unit" for kind in kinds]),
        (sizes[:, 1] > 0) & (named[:, 1] == sizes[:, 1]),
        named[:, 0] / np.maximum(sizes[:, 0], 1),
    ]


def _share(found: NDArray[np.bool_], these: Sequence[bool]) -> Floats:
    """Share (n,) of `these` words that are found (n, w); 1 where there are none."""
    chosen = np.array(these, dtype=bool)
    result: Floats = found[:, chosen].mean(1) if chosen.any() else np.ones(len(found), dtype=np.float32)
    return result

"""Attention fusion and the MLP: from one encoded query and n stored products to n probabilities.

Attention(X, Y) = softmax(X·Yᵀ/τ)·Y, from every BERT query token (rows of X) to a product's GPT-2 token
vectors (rows of Y), both unit vectors in one space, so X·Yᵀ are cosines and τ takes the place of √d. Then
the interaction of X with what it attended to, pooled over the query's tokens; then an MLP (Dense 128, ReLU →
Dense 1, sigmoid) over that and the named scalar features. Training (reranker.training.scorer) calls the same
`fused` for its inputs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reranker.stored import FIELDS, StoredBatch, unpack
from reranker.types import Candidate, EncodedQuery, Floats
from reranker.words import WordHashes, hashed

HIDDEN = 128
"""Width of the MLP's hidden layer."""

FEATURES = (
    "cosine",
    "token_match",
    "token_attended",
    "token_worst",
    "bm25",
    "title_words",
    "brand_words",
    "category_words",
    "all_words",
    "numbers",
    "brand_is_query",
    "title_focus",
)
"""Scalar features in the order of the MLP's input:

cosine          pooled query vector · pooled product vector
token_match     mean over query tokens of their best cosine with a product token
token_attended  mean cosine of a query token with what it attended to
token_worst     the worst-matched query token's best cosine
bm25            first-stage keyword score over the best one among the candidates
title_words, brand_words, category_words, all_words
                share of the query's words found in the title, brand, category, anywhere
numbers         share of the query's words with a digit found anywhere; 1 where it has none
brand_is_query  1 where every word of the brand is in the query
title_focus     share of the title's words that the query names
"""


@dataclass(frozen=True, slots=True)
class Scorer:
    """Parameters of the fusion and the MLP. `hidden` is (F + t, 128), `output` (128,)."""

    temperature: float
    mean: Floats  # (F + t,)
    scale: Floats  # (F + t,)
    hidden: Floats
    hidden_bias: Floats  # (128,)
    output: Floats
    output_bias: float

    def probability(self, inputs: Floats) -> Floats:
        """Map fused inputs (n, F + t) to probabilities of relevance (n,)."""
        x = (inputs - self.mean) * self.scale
        h = np.maximum(x @ self.hidden + self.hidden_bias, 0)  # (n, 128)
        logit = h @ self.output + self.output_bias  # (n,)
        result: Floats = 1 / (1 + np.exp(-np.clip(logit, -30, 30)))
        return result


def score(scorer: Scorer, query: EncodedQuery, candidates: Sequence[Candidate]) -> Floats:
    """Return the probability of relevance (n,) of each candidate. Raises ModelError for malformed bytes."""
    if not candidates:
        return np.empty(0, dtype=np.float32)
    batch = unpack([c.stored for c in candidates], len(query.vector), query.tokens.shape[1])
    bm25 = np.array([c.bm25 for c in candidates], dtype=np.float32)
    return scorer.probability(fused(query, batch, bm25, scorer.temperature))


def fused(query: EncodedQuery, batch: StoredBatch, bm25: Floats, temperature: float) -> Floats:
    """Return the MLP's inputs (n, F + t): scalar features, then the pooled interaction."""
    attended, best = attention(query.tokens, batch, temperature)  # (n, Lq, t), (n, Lq)
    interaction = attended * query.tokens  # (n, Lq, t)
    closeness = interaction.sum(2)  # (n, Lq)
    features = np.stack(
        [
            batch.vectors @ query.vector,
            best.mean(1),
            closeness.mean(1),
            best.min(1),
            bm25 / max(float(bm25.max(initial=0.0)), 1e-6),
            *_word_features(query, batch),
        ],
        axis=1,
    ).astype(np.float32)  # (n, F)
    return np.concatenate([features, interaction.mean(1)], axis=1)


def attention(x: Floats, batch: StoredBatch, temperature: float) -> tuple[Floats, Floats]:
    """Attend from query tokens x (Lq, t) to each product's token vectors.

    Returns what each token attended to (n, Lq, t), as unit rows, and its best cosine (n, Lq).
    """
    cosines = np.einsum("nkt,qt->nqk", batch.tokens, x, optimize=True)  # (n, Lq, K)
    cosines = np.where(batch.mask[:, None, :], cosines, np.float32(-1.0))
    best = cosines.max(2)  # (n, Lq)
    weights = np.exp((cosines - best[:, :, None]) / np.float32(temperature))  # (n, Lq, K)
    weights *= batch.mask[:, None, :]
    weights /= np.maximum(weights.sum(2, keepdims=True), np.float32(1e-9))
    return np.matmul(weights, batch.tokens), best


def _word_features(query: EncodedQuery, batch: StoredBatch) -> list[Floats]:
    """Return each word feature of FEATURES (n,), in their order."""
    n = len(batch.ends)
    asked: WordHashes = hashed(query.words)
    flat_ends = batch.ends.ravel()
    counts = np.diff(flat_ends, prepend=0)  # (n * 4,) words in each candidate's field
    owner = np.repeat(np.arange(n * len(FIELDS)), counts)  # (W,)
    found = np.zeros((n * len(FIELDS), len(asked)), dtype=bool)
    hits, which = np.nonzero(np.equal.outer(batch.words, asked))
    found[owner[hits], which] = True
    by_field = found.reshape(n, len(FIELDS), len(asked))
    sizes = counts.reshape(n, len(FIELDS))
    named = np.bincount(owner[np.unique(hits)], minlength=n * len(FIELDS)).reshape(n, len(FIELDS))
    anywhere: NDArray[np.bool_] = np.asarray(by_field.any(1))  # (n, words)
    digits = np.array([any(c.isdigit() for c in w) for w in query.words], dtype=bool)
    size = max(len(asked), 1)
    numbers = anywhere[:, digits].mean(1) if digits.any() else np.ones(n)
    return [
        by_field[:, 0].sum(1) / size,
        by_field[:, 1].sum(1) / size,
        by_field[:, 2].sum(1) / size,
        anywhere.sum(1) / size,
        numbers,
        (sizes[:, 1] > 0) & (named[:, 1] == sizes[:, 1]),
        named[:, 0] / np.maximum(sizes[:, 0], 1),
    ]

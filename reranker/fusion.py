"""Attention fusion and the MLP: from one encoded query and n stored products to n probabilities.

Attention(X, Y) = softmax(X·Yᵀ/τ)·Y, from every BERT query token (rows of X) to a product's GPT-2 token
vectors (rows of Y), both unit vectors in one space, so X·Yᵀ are cosines and τ takes the place of √d. Then
the interaction of X with what it attended to, pooled over the query's tokens; then an MLP (Dense 128, ReLU →
one output a head, sigmoid) over that and the named scalar features. Training
(reranker.training.scoring.scorer) calls the same `build_scorer_inputs` for its inputs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from reranker.encoders.codec import MAX_TOKENS, StoredBatch, unpack_products
from reranker.text.numbers import classify_number
from reranker.text.word_tokens import hash_words
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
    codec.WORD_FIELDS.
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


def make_blank_scorer(temperature: float, idf_table: IdfTable, width: int) -> Scorer:
    """Return a scorer that has learnt nothing, for token vectors of t = `width` components."""
    inputs = len(FEATURES) + width
    shapes = (
        (inputs,),
        (inputs,),
        (inputs, HIDDEN_UNITS),
        (HIDDEN_UNITS,),
        (HIDDEN_UNITS, len(HEADS)),
        (len(HEADS),),
    )
    return Scorer(temperature, idf_table, *(np.zeros(shape, np.float32) for shape in shapes))


def score_products(
    scorer: Scorer,
    query: EncodedQuery,
    stored: Sequence[bytes],
    weights: Sequence[float] = (1.0, 0.0, 0.0),
    most: int = MAX_TOKENS,
) -> Floats:
    """Return the probability (n,) of each product, the heads weighted by `weights` (H,).

    `stored` is what `attune.tokens` holds of each, with at most `most` token vectors. The first stage's
    scores have no part in it: a probability is about a query and a product, whatever else was found.
    Raises ModelError for malformed bytes.
    """
    if not stored:
        return np.empty(0, dtype=np.float32)
    batch = unpack_products(stored, len(query.vector), query.tokens.shape[1], most)
    return scorer.probability(
        build_scorer_inputs(query, batch, scorer.temperature, scorer.idf_table), weights
    )


def build_scorer_inputs(
    query: EncodedQuery, batch: StoredBatch, temperature: float, idf_table: IdfTable
) -> Floats:
    """Return the MLP's inputs (n, F + t): scalar features, then the pooled interaction."""
    weights, cosines = compute_attention(query.tokens, batch, temperature)  # (n, Lq, K), (n, Lq, K)
    attended = np.matmul(weights, batch.tokens)  # (n, Lq, t)
    best = cosines.max(2)  # (n, Lq)
    n, t = len(batch.vectors), query.tokens.shape[1]
    inputs = np.empty((n, len(FEATURES) + t), dtype=np.float32)
    inputs[:, 0] = batch.vectors @ query.vector
    inputs[:, 1] = best.mean(1)
    # What a token attended to, times the token: the mean of its cosines, weighted.
    inputs[:, 2] = np.einsum("nlk,nlk->n", weights, cosines) / len(query.tokens)
    inputs[:, 3] = best.min(1)
    inputs[:, 4 : len(FEATURES)] = _compute_word_features(query, batch, idf_table)
    inputs[:, len(FEATURES) :] = np.einsum("nlt,lt->nt", attended, query.tokens) / len(query.tokens)
    return inputs


def compute_attention(x: Floats, batch: StoredBatch, temperature: float) -> tuple[Floats, Floats]:
    """Return how much each query token of x (Lq, t) attends to each product token, and their cosines.

    Both are (n, Lq, K); weights sum to 1 over K. Where a product has no token the weight is 0, the cosine -1.
    """
    n, slots, width = batch.tokens.shape
    # Query token by query token (Lq, n, K): so that reductions over K read neighbours in memory.
    cosines = (x @ batch.tokens.reshape(n * slots, width).T).reshape(len(x), n, slots)
    absent = None if batch.mask.all() else ~batch.mask
    if absent is not None:
        np.copyto(cosines, np.float32(-1.0), where=absent)
    weights = np.exp((cosines - cosines.max(2, keepdims=True)) / np.float32(temperature))
    if absent is not None:
        np.copyto(weights, np.float32(0.0), where=absent)
    weights /= np.maximum(weights.sum(2, keepdims=True), np.float32(1e-9))
    return weights.transpose(1, 0, 2), cosines.transpose(1, 0, 2)


def _compute_word_features(query: EncodedQuery, batch: StoredBatch, idf_table: IdfTable) -> Floats:
    """Return the word features of FEATURES (n, 10), in their order."""
    n, fields = batch.ends.shape
    hashes = hash_words(query.words)  # (w,)
    sizes = np.diff(batch.ends.ravel(), prepend=0).reshape(n, fields)
    by_field = np.zeros((n * fields, len(hashes)), dtype=bool)
    named = np.zeros((n, fields), dtype=np.int64)
    if len(hashes):
        order = np.argsort(hashes)
        place = np.searchsorted(hashes, batch.words, sorter=order)  # (W,)
        word_of = order[np.minimum(place, len(hashes) - 1)]
        hits = np.flatnonzero(hashes[word_of] == batch.words)
        field_of = np.searchsorted(batch.ends.ravel(), hits, side="right")
        by_field[field_of, word_of[hits]] = True
        named = np.bincount(field_of, minlength=n * fields).reshape(n, fields)
    by_field = by_field.reshape(n, fields, len(hashes))
    anywhere: NDArray[np.bool_] = np.asarray(by_field.any(1))  # (n, w)

    idf = idf_table.idf[hashes & 0xFFFF]  # (w,)
    length = 1 - _B + _B * sizes / np.maximum(idf_table.lengths, 1)  # (n, 4)
    keyword = by_field @ idf / max(float(idf.sum()), 1e-6)  # (n, 4)
    bm25 = keyword * (_K1 + 1) / (1 + _K1 * length) / ((_K1 + 1) / (1 + _K1 * (1 - _B)))

    kinds = [classify_number(word) for word in query.words]
    features = np.empty((n, len(FEATURES) - 4), dtype=np.float32)
    features[:, :4] = bm25
    features[:, 4] = anywhere.sum(1) / max(len(hashes), 1)
    features[:, 5] = _compute_share(anywhere, [kind == "model" for kind in kinds])
    features[:, 6] = _compute_share(anywhere, [kind != "" for kind in kinds])
    features[:, 7] = _compute_share(anywhere, [kind == "unit" for kind in kinds])
    features[:, 8] = (sizes[:, 1] > 0) & (named[:, 1] == sizes[:, 1])
    features[:, 9] = named[:, 0] / np.maximum(sizes[:, 0], 1)
    return features


def _compute_share(matches: NDArray[np.bool_], chosen: Sequence[bool]) -> Floats | float:
    """Return the share (n,) of the `chosen` words that are found (n, w); 1 where none is chosen."""
    if not any(chosen):
        return 1.0
    share: Floats = matches[:, np.array(chosen)].mean(1, dtype=np.float32)
    return share

"""Attention fusion and the MLP: from one encoded query and n stored products to n probabilities.

Attention(X, Y) = softmax(X·Yᵀ/τ)·Y, from every BERT query token (rows of X) to a product's GPT-2 token
vectors (rows of Y), both unit vectors in one space, so X·Yᵀ are cosines and τ takes the place of √d. Then
the interaction of X with what it attended to, pooled over the query's tokens; then an MLP (Dense 128, ReLU →
one output a head, sigmoid) over that and the named scalar features. Training
(reranker.training.scoring.scorer) calls the same `build_scorer_inputs` for its inputs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from reranker.encoders.codec import MAX_TOKENS, StoredBatch, select_hash_bits, unpack_products
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
_EMPTY_FIELD = np.float32(1 + _K1 * (1 - _B))
"""BM25's denominator for a field without words. A word there would score best, so BM25 is scaled by it."""

_SINGLE_PRODUCTS = 5
"""Query tokens up to which a product of matrix and vector for each is faster than one of two matrices."""

_NO_HITS = np.empty(0, dtype=np.intp)


@dataclass(frozen=True, slots=True)
class IdfTable:
    """How rare words are in a catalogue, for BM25 over stored words.

    `idf` (65536,) is by the lower 16 bits of a word's hash; `lengths` (4,) are the mean numbers of words of
    codec.WORD_FIELDS.
    """

    idf: Floats
    lengths: Floats


@dataclass(frozen=True)
class Scorer:
    """Parameters of the fusion and the MLP; F features, t components a token vector, H = len(HEADS).

    A head that nothing was learnt for equals the first, relevance. `anchor` are slope and shift of the
    log-odds of relevance over training's prior, as judged lists had them; NaN where none were. `scaling` (3,)
    makes probabilities come true: a slope of the log-odds, what the logarithm of a query's tokens adds to it,
    and a shift.
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
    scaling: Floats = field(default_factory=lambda: np.array([1, 0, 0], dtype=np.float32))

    def logits(self, inputs: Floats) -> Floats:
        """Map fused inputs (n, F + t) to each head's log-odds (n, H)."""
        result: Floats = self._compute_hidden(inputs) @ self.output + self.output_bias
        return result

    def probability(self, inputs: Floats, weights: Sequence[float] = (1.0, 0.0, 0.0)) -> Floats:
        """Map fused inputs (n, F + t) to probabilities (n,): the heads' log-odds, averaged by `weights`."""
        share = np.asarray(weights, dtype=np.float32)
        share /= share.sum()
        logit = self._compute_hidden(inputs) @ (self.output @ share) + self.output_bias @ share  # (n,)
        result: Floats = 1 / (1 + np.exp(-np.clip(logit, -30, 30)))
        return result

    def _compute_hidden(self, inputs: Floats) -> Floats:
        """Map fused inputs (n, F + t) to the hidden layer's outputs (n, 128)."""
        matrix, bias = self._standardised_hidden
        hidden: Floats = inputs @ matrix
        hidden += bias
        return np.maximum(hidden, 0, out=hidden)

    @cached_property
    def _standardised_hidden(self) -> tuple[Floats, Floats]:
        """The hidden layer's matrix (F + t, 128) and bias (128,), for inputs that are not standardised."""
        matrix = np.ascontiguousarray(self.scale[:, None] * self.hidden)
        return matrix, self.hidden_bias - self.mean @ matrix


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
    weights, _, best = compute_attention(query.tokens, batch, temperature)  # (n, Lq, K), _, (Lq, n)
    attended = np.matmul(weights, batch.tokens)  # (n, Lq, t)
    count, width = query.tokens.shape
    inputs = np.empty((len(batch.vectors), len(FEATURES) + width), dtype=np.float32)
    interaction = inputs[:, len(FEATURES) :]
    np.einsum("nlt,lt->nt", attended, query.tokens / np.float32(count), out=interaction)
    inputs[:, 0] = batch.vectors @ query.vector
    inputs[:, 1] = best.sum(0) / np.float32(count)
    # The sum over t of a query token times what it attended to is its mean cosine, weighted.
    inputs[:, 2] = interaction.sum(1)
    inputs[:, 3] = best.min(0)
    _fill_word_features(inputs[:, 4 : len(FEATURES)], query, batch, idf_table)
    return inputs


def compute_attention(x: Floats, batch: StoredBatch, temperature: float) -> tuple[Floats, Floats, Floats]:
    """Return how much each query token of x (Lq, t) attends to each product token, and their cosines.

    Both are (n, Lq, K); weights sum to 1 over K. Where a product has no token the weight is 0, the cosine -1.
    The third array is each query token's best cosine (Lq, n).
    """
    n, slots, width = batch.tokens.shape
    rows = batch.tokens.reshape(n * slots, width)
    # Query token by query token (Lq, n, K), so that reductions over K read neighbours in memory.
    cosines = np.empty((len(x), n, slots), dtype=np.float32)
    if len(x) <= _SINGLE_PRODUCTS:
        for token, row in zip(x, cosines.reshape(len(x), n * slots), strict=True):
            np.matmul(rows, token, out=row)
    else:
        np.matmul(x, rows.T, out=cosines.reshape(len(x), n * slots))
    absent = ~batch.mask
    np.copyto(cosines, np.float32(-1.0), where=absent)
    best = cosines.max(2)  # (Lq, n)
    weights = cosines - best[:, :, None]
    weights *= np.float32(1 / temperature)
    np.exp(weights, out=weights)
    np.copyto(weights, np.float32(0.0), where=absent)
    weights /= np.maximum(weights.sum(2, keepdims=True), np.float32(1e-9))
    return weights.transpose(1, 0, 2), cosines.transpose(1, 0, 2), best


def _fill_word_features(
    features: Floats, query: EncodedQuery, batch: StoredBatch, idf_table: IdfTable
) -> None:
    """Write the word features of FEATURES into `features` (n, 10), in their order."""
    n, fields = batch.sizes.shape
    hashes = hash_words(query.words)  # (w,)
    stored = select_hash_bits(batch.words)  # (W,)
    hits = [np.flatnonzero(stored == word) for word in select_hash_bits(hashes)]
    at = np.concatenate([*hits, _NO_HITS])
    product = np.searchsorted(batch.ends, at, side="right")
    word = np.arange(len(hashes)).repeat([len(places) for places in hits])
    by_field = np.zeros((fields, n, len(hashes)), dtype=np.float32)
    by_field[:, product, word] = batch.words[at] >> np.arange(fields, dtype=np.uint32)[:, None] & 1
    anywhere = np.zeros((n, len(hashes)), dtype=np.float32)
    anywhere[product, word] = 1
    named = by_field.sum(2)  # (4, n)
    sizes = batch.sizes.T.astype(np.float32)  # (4, n)

    idf = idf_table.idf[hashes & 0xFFFF]  # (w,)
    keyword = by_field @ (idf / max(float(idf.sum()), 1e-6))  # (4, n)
    growth = np.float32(_K1 * _B) / np.maximum(idf_table.lengths.astype(np.float32), 1)  # (4,)
    features[:, :4] = (keyword * _EMPTY_FIELD / (_EMPTY_FIELD + growth[:, None] * sizes)).T
    kinds = [classify_number(word) for word in query.words]
    features[:, 4] = anywhere.sum(1) / max(len(hashes), 1)
    features[:, 5] = _compute_share(anywhere, [kind == "model" for kind in kinds])
    features[:, 6] = _compute_share(anywhere, [kind != "" for kind in kinds])
    features[:, 7] = _compute_share(anywhere, [kind == "unit" for kind in kinds])
    features[:, 8] = (sizes[1] > 0) & (named[1] == sizes[1])
    features[:, 9] = named[0] / np.maximum(sizes[0], 1)


def _compute_share(matches: Floats, chosen: Sequence[bool]) -> Floats | float:
    """Return the share (n,) of the `chosen` words that are found (n, w); 1 where none is chosen."""
    if not any(chosen):
        return 1.0
    share: Floats = matches[:, np.array(chosen)].mean(1)
    return share

"""User_Features: what a shopper searched for and viewed, attended with products' vectors.

The fusion of a search, softmax(X·Yᵀ)·Y, with the history in the query's place: X are the BERT token vectors
of recent queries and of titles viewed, Y a product's GPT-2 token vectors. Each row of X weighs by what was
done, and by how long ago.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

import numpy as np

from reranker.encoders.codec import StoredBatch
from reranker.fusion import compute_attention
from reranker.types import EncodedQuery, Floats

ACTION_WEIGHTS = {"purchase": 1.0, "cart": 0.6, "click": 0.3, "search": 0.3}
"""How much an action says of what a shopper wants."""

_SESSION_DAYS = 7.0
"""Days after which an action counts e times less."""

USER_FEATURES = ("history_cosine", "history_match", "history_attended")
"""Scalar features of a product for a shopper, before the pooled interaction:

history_cosine    pooled history vector · pooled product vector
history_match     weighted mean of each history token's best cosine with a product token
history_attended  weighted mean cosine of a history token with what it attended to
"""


@dataclass(frozen=True, slots=True)
class HistoryText:
    """An encoded query or title, the action that it comes from and its age in days."""

    encoded: EncodedQuery
    action: str
    age_days: float


@dataclass(frozen=True, slots=True, eq=False)
class EncodedHistory:
    """A shopper's history as X: its rows sum to a weight of 1."""

    vector: Floats  # (d,) unit length
    tokens: Floats  # (L, t) unit rows
    weights: Floats  # (L,)


def encode_history(texts: Sequence[HistoryText]) -> EncodedHistory | None:
    """Return texts as one history, None where none weighs anything."""
    weights = [
        ACTION_WEIGHTS.get(text.action, 0.0) * exp(-max(text.age_days, 0.0) / _SESSION_DAYS) for text in texts
    ]
    parts = [(text, weight) for text, weight in zip(texts, weights, strict=True) if weight > 0]
    if not parts:
        return None
    vector = np.sum([np.float32(weight) * text.encoded.vector for text, weight in parts], axis=0)
    tokens = np.concatenate([text.encoded.tokens for text, _ in parts])  # (L, t)
    rows = np.concatenate(
        [np.full(len(text.encoded.tokens), weight / len(text.encoded.tokens)) for text, weight in parts]
    )
    norm = max(float(np.linalg.norm(vector)), 1e-9)
    return EncodedHistory(vector / np.float32(norm), tokens, (rows / rows.sum()).astype(np.float32))


def build_user_features(history: EncodedHistory, batch: StoredBatch, temperature: float) -> Floats:
    """Return User_Features (n, 3 + t): USER_FEATURES, then X times what it attended to, pooled."""
    weights, cosines, best = compute_attention(history.tokens, batch, temperature)  # (n, L, K) twice, (L, n)
    attended = np.matmul(weights, batch.tokens)  # (n, L, t)
    scalars = len(USER_FEATURES)
    result = np.empty((len(batch.vectors), scalars + history.tokens.shape[1]), dtype=np.float32)
    result[:, 0] = batch.vectors @ history.vector
    result[:, 1] = history.weights @ best
    result[:, 2] = (weights * cosines).sum(2) @ history.weights
    result[:, scalars:] = np.einsum("nlt,lt,l->nt", attended, history.tokens, history.weights)
    return result

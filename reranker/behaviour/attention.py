"""User_Features: what a shopper searched for, viewed and bought, attended with products' vectors.

The fusion of a search, softmax(X·Yᵀ)·Y, with the history in the query's place: X are the BERT token vectors
of recent queries and titles, or the GPT-2 token vectors of products of the history, which lie in the same
space. Y are a product's GPT-2 token vectors. Each row of X weighs by what was done, and by how long ago.

A search has no request to spare for the vectors of its shopper's history. So `attend_window` takes for X the
products of the history that are in the window itself, and the texts that a profile holds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp

import numpy as np

from reranker.behaviour.counts import Profile
from reranker.encoders.codec import StoredBatch, normalise, read_form, unpack_products
from reranker.fusion import compute_attention
from reranker.types import Doubles, EncodedQuery, Floats

ACTION_WEIGHTS = {"purchase": 1.0, "cart": 0.6, "click": 0.3, "search": 0.3}
"""How much an action says of what a shopper wants."""

_SESSION_DAYS = 7.0
"""Days after which an action counts e times less."""

_MAX_AGE_DAYS = 28.0
"""Days after which an action is not attended to any more: it would weigh less than 0.02."""

_MAX_ACTIONS = 8
"""Actions of a window that are attended to: those that weigh most."""

_MAX_ENCODED = 3
"""Texts of a profile that a search encodes: those read last."""

_NEAR_COSINE = 0.6
"""Least cosine of a text with the query: below, they are about other things. By the shipped model "wireless
mouse" and the title of one have 0.71, "wireless mouse" and "laptop" 0.48, "milk" and "bread" 0.55.
"""

_TEMPERATURE = 0.05
"""τ of the attention in a search: that of both shipped models' scorers."""

USER_FEATURES = ("history_cosine", "history_match", "history_attended")
"""Scalar features of a product for a shopper, before the pooled interaction:

history_cosine    pooled history vector · pooled product vector
history_match     weighted mean of each history token's best cosine with a product token
history_attended  weighted mean cosine of a history token with what it attended to
"""


@dataclass(frozen=True, slots=True, eq=False)
class HistoryItem:
    """The vectors of a query, title or product, the action that it comes from and its age in days."""

    vector: Floats  # (d,) unit length
    tokens: Floats  # (L, t) unit rows
    action: str
    age_days: float


@dataclass(frozen=True, slots=True)
class WindowAction:
    """An action on the product in this row of a window, and its age in days."""

    row: int
    action: str
    age_days: float


@dataclass(frozen=True, slots=True, eq=False)
class EncodedHistory:
    """A shopper's history as X: the weights of its rows sum to 1.

    `strength` is the sum of the actions' own weights, at most 1: little where all is long ago.
    """

    vector: Floats  # (d,) unit length
    tokens: Floats  # (L, t) unit rows
    weights: Floats  # (L,)
    strength: float = 1.0


def encode_history(items: Sequence[HistoryItem]) -> EncodedHistory | None:
    """Return items as one history, None where none weighs anything.

    Items without token vectors say nothing.
    """
    weighed = [(item, _weigh(item)) for item in items]
    parts = [(item, weight) for item, weight in weighed if weight > 0 and len(item.tokens)]
    if not parts:
        return None
    vector = np.sum([np.float32(weight) * item.vector for item, weight in parts], axis=0)
    tokens = np.concatenate([item.tokens for item, _ in parts])  # (L, t)
    rows = np.concatenate([np.full(len(item.tokens), weight / len(item.tokens)) for item, weight in parts])
    norm = max(float(np.linalg.norm(vector)), 1e-9)
    strength = min(sum(weight for _, weight in parts), 1.0)
    shares = (rows / rows.sum()).astype(np.float32)
    return EncodedHistory(vector / np.float32(norm), tokens, shares, strength)


def list_recent_actions(profile: Profile, products: Sequence[str], day: float) -> list[WindowAction]:
    """Return what the shopper lately did with products of a window, given by their ids.

    Of each product it is what weighs most; of all products the few that weigh most.
    """
    actions = []
    for row, product in enumerate(products):
        done = []
        if product in profile.bought:
            done.append(WindowAction(row, "purchase", max(day - profile.bought[product].last, 0.0)))
        if product in profile.viewed:
            done.append(WindowAction(row, "click", max(day - profile.viewed[product], 0.0)))
        actions += sorted((each for each in done if each.age_days <= _MAX_AGE_DAYS), key=_weigh)[-1:]
    return sorted(actions, key=_weigh, reverse=True)[:_MAX_ACTIONS]


def encode_recent_texts(
    profile: Profile, query: EncodedQuery, day: float, encode: Callable[[str], EncodedQuery | None]
) -> list[HistoryItem]:
    """Return the latest texts of a profile that are about what the query is about, encoded.

    The query's own text is not among them: it says nothing that the search does not know. `encode` returns
    None for a text that it can't read.
    """
    own = " ".join(query.text.split()).lower()
    recent = [
        (text, max(day - at, 0.0))
        for text, at in profile.texts.items()
        if day - at <= _MAX_AGE_DAYS and text.lower() != own
    ]
    encoded = [(encode(text), age) for text, age in recent[-_MAX_ENCODED:]]
    return [
        HistoryItem(text.vector, text.tokens, "search", age)
        for text, age in encoded
        if text is not None and text.vector @ query.vector >= _NEAR_COSINE
    ]


def attend_window(
    actions: Sequence[WindowAction], stored: Sequence[bytes], texts: Sequence[HistoryItem] = ()
) -> Doubles:
    """Return how much more each product of a window (n,) is attended to than the mean of them.

    It is `history_attended` of USER_FEATURES, less its mean, times the strength of the history: actions on
    products of the window, and texts. `stored` are well-formed; where they are of several models, actions and
    texts bear on products of their own model alone.
    """
    result = np.zeros(len(stored))
    forms = [read_form(each) for each in stored]
    acted = {forms[action.row] for action in actions}
    for form in dict.fromkeys(forms):
        read = [text for text in texts if (len(text.vector), text.tokens.shape[1]) == form[1:]]
        if form not in acted and not read:
            continue
        rows = [row for row, other in enumerate(forms) if other == form]
        batch = unpack_products([stored[row] for row in rows], form.dimension, form.width)
        items = [
            HistoryItem(
                batch.vectors[at],
                normalise(batch.tokens[at][batch.mask[at]]),
                action.action,
                action.age_days,
            )
            for action in actions
            if forms[action.row] == form
            for at in [rows.index(action.row)]
        ]
        if history := encode_history([*items, *read]):
            weights, cosines, _ = compute_attention(history.tokens, batch, _TEMPERATURE)
            attended = _pool_attended(history, weights, cosines)
            result[rows] = history.strength * (attended - attended.mean())
    return result


def build_user_features(history: EncodedHistory, batch: StoredBatch, temperature: float) -> Floats:
    """Return User_Features (n, 3 + t): USER_FEATURES, then X times what it attended to, pooled."""
    weights, cosines, best = compute_attention(history.tokens, batch, temperature)  # (n, L, K) twice, (L, n)
    attended = np.matmul(weights, batch.tokens)  # (n, L, t)
    scalars = len(USER_FEATURES)
    result = np.empty((len(batch.vectors), scalars + history.tokens.shape[1]), dtype=np.float32)
    result[:, 0] = batch.vectors @ history.vector
    result[:, 1] = history.weights @ best
    result[:, 2] = _pool_attended(history, weights, cosines)
    result[:, scalars:] = np.einsum("nlt,lt,l->nt", attended, history.tokens, history.weights)
    return result


def _pool_attended(history: EncodedHistory, weights: Floats, cosines: Floats) -> Floats:
    """Return the weighted mean cosine (n,) of the history's tokens with what they attended to (n, L, K)."""
    pooled: Floats = (weights * cosines).sum(2) @ history.weights
    return pooled


def _weigh(done: HistoryItem | WindowAction) -> float:
    """Return the weight of an action by its kind and age; 0 for kinds that say nothing."""
    return ACTION_WEIGHTS.get(done.action, 0.0) * exp(-max(done.age_days, 0.0) / _SESSION_DAYS)

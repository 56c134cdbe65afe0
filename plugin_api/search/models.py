"""The models of a process: which one serves an index, and its work, done on threads of its own."""

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

import numpy as np
from cachetools import LRUCache, cachedmethod

from mappings.errors import BadRequest, ModelError
from plugin_api.search.deadline import Deadline
from plugin_api.search.failures import describe_delay
from plugin_api.search.hit_key import HitKey
from plugin_api.search.query.types import TextSearch
from plugin_api.search.reasons import NotReranked, Reason
from plugin_api.search.retrieval.hit import Hit
from reranker.types import EncodedQuery, Reranker

_P = ParamSpec("_P")
_R = TypeVar("_R")

MAX_UNKNOWN_SHARE = 0.5
"""Share of a query's tokens that the model may not know: from there on its vector says too little."""

_QUERY_CACHE_BYTES = 8_000_000
"""Bytes of the queries that were encoded last, some thousands: shoppers type the same few again and again."""


class SearchModels:
    """The default model, and `others` that serve the indexes they encoded. Thread-safe."""

    def __init__(self, default: Reranker, others: Sequence[Reranker], threads: int) -> None:
        self._default = default
        self._models = {model.version: model for model in (*others, default)}
        self._lock = threading.Lock()
        self._queries: LRUCache[tuple[str, str], EncodedQuery] = LRUCache(_QUERY_CACHE_BYTES, _query_bytes)
        # The model runs here so that a request can stop waiting for it; more threads than cores would only
        # make all of them late together.
        self._executor = ThreadPoolExecutor(
            min(threads, os.cpu_count() or 1), thread_name_prefix="attune-model"
        )

    @property
    def versions(self) -> tuple[str, ...]:
        """Versions of the models, the default one first."""
        return tuple(dict.fromkeys((self._default.version, *self._models)))

    def find(self, version: str) -> Reranker:
        """Return the model of a version, the default one where there is none."""
        return self._models.get(version, self._default)

    def choose(self, search: TextSearch) -> Reranker:
        """Return the model to begin a search with: the one that it names, or that the index was made with.

        Raises BadRequest where it names an unknown one.
        """
        version = search.options.model or self.find(search.made_with).version
        if version not in self._models:
            loaded = ", ".join(self.versions)
            raise BadRequest(f"ext.attune.model: {version} is not loaded; there are: {loaded}")
        return self._models[version]

    def choose_for(self, search: TextSearch, model: Reranker, hits: Iterable[Hit]) -> Reranker:
        """Return the model that encoded the hits. Raises NotReranked where it may not be used."""
        for hit in hits:
            if hit.model and hit.model != model.version:
                may_change = not search.options.model and model is self.choose(search)
                if not may_change or hit.model not in self._models:
                    details = {"index": hit.index, "made_with": hit.model, "model": model.version}
                    raise NotReranked(Reason.MODEL_MISMATCH.because(**details))
                return self._models[hit.model]
        return model

    def encode(self, model: Reranker, text: str, deadline: Deadline) -> EncodedQuery:
        """Encode a text. Raises NotReranked where the model can't read it, or not in time."""
        query = self._encode(model, text, deadline)
        if query.unknown >= MAX_UNKNOWN_SHARE:
            share = f"{query.unknown:.0%}"
            raise NotReranked(Reason.UNKNOWN_WORDS.because(model=model.version, share=share))
        return query

    def score(
        self,
        model: Reranker,
        query: EncodedQuery,
        hits: Sequence[Hit],
        weights: Sequence[float],
        deadline: Deadline,
    ) -> dict[HitKey, float]:
        """Return the probability before calibration that each hit, all with vectors, answers the query.

        `weights` are those of the heads. Raises NotReranked, ModelError.
        """
        if not hits:
            return {}
        stored = [hit.vectors for hit in hits]
        scores = self.run("scoring", deadline, model.score_raw, query, stored, weights)
        if len(scores) != len(hits) or not np.isfinite(scores).all():
            raise ModelError(f"model {model.version} returned scores that are not probabilities")
        return dict(zip([hit.key for hit in hits], scores.tolist(), strict=True))

    @cachedmethod(
        lambda self: self._queries,
        key=lambda _self, model, text, _deadline: (model.version, text),
        lock=lambda self: self._lock,
    )
    def _encode(self, model: Reranker, text: str, deadline: Deadline) -> EncodedQuery:
        return self.run("encoding the query", deadline, model.encode_query, text)

    def run(
        self, stage: str, deadline: Deadline, work: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs
    ) -> _R:
        """Run `work` on the model's threads. Raises NotReranked when the deadline passes first."""
        return run_in_time(self._executor, stage, deadline, work, *args, **kwargs)


def run_in_time(
    executor: Executor,
    stage: str,
    deadline: Deadline,
    work: Callable[_P, _R],
    *args: _P.args,
    **kwargs: _P.kwargs,
) -> _R:
    """Run `work` on an executor's threads. Raises NotReranked when the deadline passes first."""
    future: Future[_R] = executor.submit(work, *args, **kwargs)
    try:
        return future.result(timeout=deadline.remaining())
    except TimeoutError as error:
        future.cancel()
        raise NotReranked(describe_delay(stage, deadline)) from error


def _query_bytes(query: EncodedQuery) -> int:
    return 500 + query.vector.nbytes + query.tokens.nbytes + 100 * len(query.words) + 4 * len(query.text)

"""What understands the queries of an index: made from its vocabulary, in the background, once an index."""

import hashlib
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import msgspec
from cachetools import LRUCache, cachedmethod
from msgspec import Struct

from mappings.errors import AttuneError
from plugin_api.opensearch.client import OpenSearchClient
from plugin_api.search.query.types import SearchCall
from reranker.types import Floats, Reranker
from reranker.understanding.interpreter import QueryInterpreter
from reranker.understanding.vocabulary import read_vocabulary

REFRESH_SECONDS = 60.0
"""Seconds after which an index is asked again for its vocabulary: a rebuild has another."""

_TIMEOUT_SECONDS = 10.0
_MAX_VIEWS = 256
_MAX_INTERPRETERS = 8
_MAX_PHRASES = 4096
"""Vectors of types' names that are remembered: 6 MB."""

_log = logging.getLogger("attune")


class _Attune(Struct, frozen=True):
    vocabulary: str = ""


class _Meta(Struct, frozen=True):
    attune: _Attune = _Attune()


class _Mappings(Struct, frozen=True, rename={"meta": "_meta"}):
    meta: _Meta = _Meta()


class _Index(Struct, frozen=True):
    mappings: _Mappings = _Mappings()


_indexes = msgspec.json.Decoder(dict[str, _Index])


@dataclass(slots=True)
class _View:
    """What one caller searches in one place: its interpreter, and when it was last asked for."""

    interpreter: QueryInterpreter | None = None
    first: Future[None] | None = None
    asked_at: float = float("-inf")


class Interpreters:
    """Interpreters by caller and index. Thread-safe; share one among all requests of a process.

    The first searches of an index wait a little for its vocabulary, which is requested with the caller's own
    credentials; they are not understood if it takes longer. Several indexes with vocabularies of their own
    have none in common.
    """

    def __init__(
        self,
        client: OpenSearchClient,
        model: Reranker,
        seconds: float = REFRESH_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        executor: Executor | None = None,
    ) -> None:
        self._client, self._model, self._seconds, self._clock = client, model, seconds, clock
        self._executor = executor or ThreadPoolExecutor(1, thread_name_prefix="attune-vocabulary")
        self._lock = threading.Lock()
        self._views: LRUCache[str, _View] = LRUCache(_MAX_VIEWS)
        self._interpreters: LRUCache[bytes, QueryInterpreter] = LRUCache(_MAX_INTERPRETERS)
        self._vectors: LRUCache[str, Floats] = LRUCache(_MAX_PHRASES)

    def find(self, call: SearchCall, wait: float = 0.0) -> QueryInterpreter | None:
        """Return the interpreter of what a call searches; None where there is none, or none yet.

        The first time it is waited for `wait` seconds.
        """
        with self._lock:
            view = self._views.setdefault(call.caller_key, _View())
            if self._clock() >= view.asked_at + self._seconds:
                view.asked_at = self._clock()
                refreshed = self._executor.submit(self._refresh, view, call)
                view.first = view.first or refreshed
        if wait and view.first:
            with suppress(TimeoutError):
                view.first.result(wait)
        return view.interpreter

    def load(self, call: SearchCall) -> QueryInterpreter | None:
        """Return the interpreter of what a call searches, once it is there; None where there is none."""
        if interpreter := self.find(call, _TIMEOUT_SECONDS):
            return interpreter
        view = _View()  # it may have one since it was last asked for
        self._executor.submit(self._refresh, view, call).result()
        with self._lock:
            self._views.setdefault(call.caller_key, view).interpreter = view.interpreter
        return view.interpreter

    def _refresh(self, view: _View, call: SearchCall) -> None:
        try:
            view.interpreter = self._load(call)
        except Exception as error:  # noqa: BLE001  # searches go on without it
            _log.warning("the vocabulary of %s can't be used: %s", call.index, type(error).__name__)

    def _load(self, call: SearchCall) -> QueryInterpreter | None:
        index = f"/{call.index}" if call.index else ""
        target = f"{index}/_mapping?ignore_unavailable=true&filter_path=*.mappings._meta.attune.vocabulary"
        try:
            response = self._client.request("GET", target, call.headers_without_body, b"", _TIMEOUT_SECONDS)
            found = _indexes.decode(response.body).values() if response.status == 200 else ()
        except (AttuneError, TimeoutError, msgspec.MsgspecError):
            return None
        artefacts = {index.mappings.meta.attune.vocabulary for index in found} - {""}
        if len(artefacts) != 1:
            return None
        artefact = artefacts.pop()
        digest = hashlib.blake2b(artefact.encode(), digest_size=16).digest()
        interpreter = self._interpreters.get(digest)
        if interpreter is None:
            interpreter = QueryInterpreter(read_vocabulary(artefact), self._encode).load()
            self._interpreters[digest] = interpreter
        return interpreter

    @cachedmethod(lambda self: self._vectors, lock=lambda self: self._lock)
    def _encode(self, text: str) -> Floats:
        return self._model.encode_query(text).vector

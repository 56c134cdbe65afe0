"""What an index records for its searches: the vocabulary that understands queries, and tuned settings.

Both are read from the mapping's metadata, in the background, and again every minute.
"""

import hashlib
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import msgspec
from cachetools import LRUCache, cachedmethod
from msgspec import Raw, Struct

from mappings.errors import AttuneError
from mappings.settings import UNTUNED, TunedSettings
from plugin_api.opensearch.client import OpenSearchClient
from plugin_api.search.models import SearchModels
from plugin_api.search.query.types import SearchCall
from reranker.types import Floats
from reranker.understanding.interpreter import QueryInterpreter
from reranker.understanding.vocabulary import read_vocabulary

REFRESH_SECONDS = 60.0
"""Seconds after which an index is asked again for its record: a rebuild has another."""

_PATHS = ",".join(
    f"*.mappings._meta.attune.{name}"
    for name in ("vocabulary", "tuning.settings", "pictures", "model", "attached.model")
)
_TIMEOUT_SECONDS = 10.0
_MAX_VIEWS = 256
_MAX_INTERPRETERS = 8
_MAX_PHRASES = 4096
"""Vectors of types' names that are remembered: 6 MB."""

_log = logging.getLogger("attune")


class _Tuning(Struct, frozen=True):
    settings: TunedSettings = UNTUNED


class _Attached(Struct, frozen=True):
    model: str = ""


class _Attune(Struct, frozen=True):
    vocabulary: str = ""
    tuning: Raw = Raw()
    pictures: str = ""
    model: str = ""
    attached: _Attached = _Attached()


class _Meta(Struct, frozen=True):
    attune: _Attune = _Attune()


class _Mappings(Struct, frozen=True, rename={"meta": "_meta"}):
    meta: _Meta = _Meta()


class _Index(Struct, frozen=True):
    mappings: _Mappings = _Mappings()


_indexes = msgspec.json.Decoder(dict[str, _Index])


@dataclass(frozen=True, slots=True)
class IndexRecord:
    """What an index records: the interpreter of its queries, None without a vocabulary, and its settings.

    `pictures` is the version of the picture tower that it was made with, empty without pictures;
    `model` that of the model that encoded its products.
    """

    interpreter: QueryInterpreter | None = None
    tuned: TunedSettings = UNTUNED
    pictures: str = ""
    model: str = ""


_NO_RECORD = IndexRecord()


@dataclass(slots=True)
class _View:
    """What one caller searches in one place: what is recorded there, and when it was last asked for."""

    record: IndexRecord = _NO_RECORD
    first: Future[None] | None = None
    asked_at: float = float("-inf")


class IndexRecords:
    """Records by caller and index. Thread-safe; share one among all requests of a process.

    The first searches of an index wait a little for its record, which is requested with the caller's own
    credentials; they go on without it if it takes longer. Several indexes with vocabularies or settings of
    their own have none in common.
    """

    def __init__(
        self,
        client: OpenSearchClient,
        models: SearchModels,
        seconds: float = REFRESH_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        executor: Executor | None = None,
    ) -> None:
        self._client, self._models, self._seconds, self._clock = client, models, seconds, clock
        self._executor = executor or ThreadPoolExecutor(1, thread_name_prefix="attune-record")
        self._lock = threading.Lock()
        self._views: LRUCache[str, _View] = LRUCache(_MAX_VIEWS)
        self._interpreters: LRUCache[bytes, QueryInterpreter] = LRUCache(_MAX_INTERPRETERS)
        self._vectors: LRUCache[tuple[str, str], Floats] = LRUCache(_MAX_PHRASES)

    def find(self, call: SearchCall, wait: float = 0.0) -> IndexRecord:
        """Return the record of what a call searches; an empty one where there is none, or none yet.

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
        return view.record

    def load_interpreter(self, call: SearchCall) -> QueryInterpreter | None:
        """Return the interpreter of what a call searches, once it is there; None where there is none."""
        if interpreter := self.find(call, _TIMEOUT_SECONDS).interpreter:
            return interpreter
        view = _View()  # it may have one since it was last asked for
        self._executor.submit(self._refresh, view, call).result()
        with self._lock:
            self._views.setdefault(call.caller_key, view).record = view.record
        return view.record.interpreter

    def _refresh(self, view: _View, call: SearchCall) -> None:
        try:
            view.record = self._load(call)
        except Exception as error:  # noqa: BLE001  # searches go on without it
            _log.warning("the record of %s can't be used: %s", call.index, type(error).__name__)

    def _load(self, call: SearchCall) -> IndexRecord:
        index = f"/{call.index}" if call.index else ""
        target = f"{index}/_mapping?ignore_unavailable=true&filter_path={_PATHS}"
        try:
            response = self._client.request("GET", target, call.headers_without_body, b"", _TIMEOUT_SECONDS)
            indexes = _indexes.decode(response.body).values() if response.status == 200 else ()
        except (AttuneError, TimeoutError, msgspec.MsgspecError):
            return _NO_RECORD
        records = [each.mappings.meta.attune for each in indexes]
        model = _only({each.model or each.attached.model for each in records})
        return IndexRecord(
            self._make_interpreter({each.vocabulary for each in records} - {""}, model),
            _read_tuned({bytes(each.tuning) for each in records} - {b""}),
            _only({each.pictures for each in records}),
            model,
        )

    def _make_interpreter(self, artefacts: set[str], model: str) -> QueryInterpreter | None:
        if len(artefacts) != 1:
            return None
        artefact = artefacts.pop()
        digest = hashlib.blake2b(f"{model} {artefact}".encode(), digest_size=16).digest()
        interpreter = self._interpreters.get(digest)
        if interpreter is None:
            interpreter = QueryInterpreter(read_vocabulary(artefact), partial(self._encode, model)).load()
            self._interpreters[digest] = interpreter
        return interpreter

    @cachedmethod(
        lambda self: self._vectors, key=lambda _self, model, text: (model, text), lock=lambda self: self._lock
    )
    def _encode(self, model: str, text: str) -> Floats:
        return self._models.find(model).encode_query(text).vector


def _only(versions: set[str]) -> str:
    """Return the version that all indexes have; empty where they differ."""
    return versions.pop() if len(versions) == 1 else ""


def _read_tuned(tunings: set[bytes]) -> TunedSettings:
    """Return the settings of the only tuning; none where there are several, or where it can't be used."""
    if len(tunings) != 1:
        return UNTUNED
    try:
        return msgspec.json.decode(tunings.pop(), type=_Tuning).settings
    except msgspec.MsgspecError as error:
        _log.warning("the tuning of an index can't be used: %s", error)
        return UNTUNED

"""Words that an index has though its vocabulary does not: of products that came after the last rebuild.

Only words that would be corrected are asked for, in the fields that the caller's own query looks in, with the
caller's credentials. Few queries have such a word; what was found is remembered for a minute.
"""

import threading
import time
from collections.abc import Callable, Sequence

import msgspec
from cachetools import TTLCache
from msgspec import Raw, Struct

from mappings.errors import AttuneError
from mappings.types import JsonObject
from plugin_api.opensearch.client import OpenSearchClient
from plugin_api.search.deadline import Deadline
from plugin_api.search.query.types import TextSearch
from plugin_api.search.retrieval.caller_client import CallerClient, CallerSearch

REMEMBERED_SECONDS = 60.0
"""For how long it is remembered whether an index has a word."""

_MOST = 4096
"""Words that are remembered."""


class _Hits(Struct, frozen=True):
    hits: list[Raw]


class _Answer(Struct, frozen=True):
    hits: _Hits


_answer = msgspec.json.Decoder(_Answer)


class IndexWords:
    """Tells which words an index has. Thread-safe; share one among all requests of a process."""

    def __init__(
        self,
        client: OpenSearchClient,
        seconds: float = REMEMBERED_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._known: TTLCache[tuple[str, str], bool] = TTLCache(_MOST, seconds, clock)

    def find(self, search: TextSearch, words: Sequence[str], deadline: Deadline) -> frozenset[str]:
        """Return those of the words that the caller's own query would find something by.

        All of them where OpenSearch does not tell in time: then none is corrected.
        """
        fields = f"{search.call.caller_key} {search.query.look_for('')}"
        with self._lock:
            known = {
                word: is_known for word in words if (is_known := self._known.get((fields, word))) is not None
            }
        if unknown := [word for word in words if word not in known]:
            try:
                answers = self._ask(search, unknown, deadline)
            except (AttuneError, TimeoutError, msgspec.MsgspecError):
                return frozenset(words)
            with self._lock:
                self._known.update({(fields, word): is_known for word, is_known in answers.items()})
            known |= answers
        return frozenset(word for word, is_known in known.items() if is_known)

    def _ask(self, search: TextSearch, words: Sequence[str], deadline: Deadline) -> dict[str, bool]:
        """Return whether each word is found. A query that can't look for another text finds none."""
        if not search.query.look_for(""):
            return dict.fromkeys(words, False)
        caller = CallerClient(self._client, search.call, search.params, deadline, search.pit)
        queries = ({"bool": {"should": search.query.look_for(word)}} for word in words)
        slim: JsonObject = {"size": 1, "_source": False, "track_total_hits": False}
        answers = caller.search_all([CallerSearch({"query": query, **slim}) for query in queries])[1]
        return {
            word: bool(_answer.decode(answer).hits.hits) for word, answer in zip(words, answers, strict=True)
        }

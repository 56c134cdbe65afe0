"""The queries that were encoded last: shoppers type the same few again and again."""

import threading
from collections import OrderedDict

from reranker.types import EncodedQuery

REMEMBERED = 512
"""Queries held at most, some kilobytes each; the one not asked for longest is forgotten first."""

Key = tuple[str, str]
"""A model's version and the text as it came."""


class Encodings:
    """Thread-safe; share one among all requests of a process."""

    def __init__(self, size: int = REMEMBERED) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._held: OrderedDict[Key, EncodedQuery] = OrderedDict()

    def get(self, version: str, text: str) -> EncodedQuery | None:
        """Return what that model made of the text, None where that is not known."""
        with self._lock:
            found = self._held.get((version, text))
            if found is not None:
                self._held.move_to_end((version, text))
            return found

    def put(self, version: str, text: str, query: EncodedQuery) -> None:
        """Remember what that model made of the text."""
        with self._lock:
            self._held[version, text] = query
            if len(self._held) > self._size:
                self._held.popitem(last=False)

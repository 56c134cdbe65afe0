"""A model that waits to be told."""

import threading

from reranker.model import Model
from reranker.types import EncodedQuery


class SlowModel(Model):
    """The shipped model, which sets `asked` and waits for `go` before it encodes a query."""

    go: threading.Event
    asked: threading.Event

    def encode_query(self, text: str) -> EncodedQuery:
        self.asked.set()
        assert self.go.wait(60)
        return super().encode_query(text)


def slow_model(model: Model) -> SlowModel:
    """The model of the same folder, waiting."""
    slow = SlowModel(model.folder)
    slow.go, slow.asked = threading.Event(), threading.Event()
    return slow

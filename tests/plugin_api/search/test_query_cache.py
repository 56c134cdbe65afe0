import numpy as np

from plugin_api.search.query_cache import Encodings
from reranker.types import EncodedQuery


def encoded(text: str) -> EncodedQuery:
    vector = np.ones(4, dtype=np.float32)
    return EncodedQuery(text, vector, vector[None, :], tuple(text.split()), 0.0)


def test_a_query_is_known_to_the_model_that_encoded_it_alone() -> None:
    encodings = Encodings()
    mouse = encoded("mouse")
    encodings.put("v1", "mouse", mouse)
    assert encodings.get("v1", "mouse") is mouse
    assert encodings.get("v2", "mouse") is None
    assert encodings.get("v1", "Mouse") is None


def test_what_was_not_asked_for_longest_is_forgotten() -> None:
    encodings = Encodings(size=2)
    for text in ("a", "b"):
        encodings.put("v1", text, encoded(text))
    encodings.get("v1", "a")
    encodings.put("v1", "c", encoded("c"))
    assert [encodings.get("v1", text) is not None for text in "abc"] == [True, False, True]

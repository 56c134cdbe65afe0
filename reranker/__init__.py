"""The models: encoders, attention fusion, scorer, query understanding, evaluation and training.

Three calls rank products for a query. Products are encoded once, when they are indexed, and their stored form
is kept. `load_model` takes the folder of another model; without one it loads the shipped model.

>>> from mappings.types import Product
>>> from reranker import load_model
>>> model = load_model()
>>> products = [
...     Product("1", title="Logitech M185 wireless mouse", brand="Logitech", category="Mice"),
...     Product("2", title="USB-C charging cable 2 m", category="Cables"),
... ]
>>> encoded = model.encode_products(products)
>>> encoded[0].vector.shape  # the k-NN vector
(384,)
>>> query = model.encode_query("mouse without a cable")
>>> probabilities = model.score(query, [product.stored for product in encoded])
>>> bool(probabilities[0] > probabilities[1])
True
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reranker.model import Model, load_model
    from reranker.types import EncodedProduct, EncodedQuery, Reranker

__all__ = ["EncodedProduct", "EncodedQuery", "Model", "Reranker", "load_model"]

_HOMES = {
    "EncodedProduct": "reranker.types",
    "EncodedQuery": "reranker.types",
    "Model": "reranker.model",
    "Reranker": "reranker.types",
    "load_model": "reranker.model",
}

# Since 1.29 ONNX Runtime sends figures about models and machines to Microsoft unless told before it loads.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def __getattr__(name: str) -> Any:
    """Import an exported name at its first use, so that the package itself loads nothing heavy."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""What counting taught of a shop, stored in OpenSearch: kernels, shares, and the trained scorer."""

import base64
import threading
from collections.abc import Callable
from io import BytesIO
from typing import BinaryIO
from urllib.parse import quote

import numpy as np
from cachetools import TTLCache

from mappings.types import JsonObject
from plugin_api.shoppers.cluster import ClusterRequests
from reranker.behaviour.features import Shares
from reranker.behaviour.recommendation import BehaviourModel
from reranker.behaviour.repurchase import RepurchaseKernels
from reranker.behaviour.scorer import BehaviourScorer, parse_behaviour_scorer

MODELS = "attune-behaviour"
"""Index with a document for each alias."""

_CACHE_SECONDS = 60.0
_BODY = {
    "settings": {"index": {"number_of_shards": 1, "auto_expand_replicas": "0-1"}},
    "mappings": {"enabled": False},
}


class BehaviourStore:
    """Reads and writes behaviour models. What was read is reused for a minute. Thread-safe."""

    def __init__(self, requests: ClusterRequests) -> None:
        self._requests = requests
        self._cache: TTLCache[str, BehaviourModel | None] = TTLCache(64, _CACHE_SECONDS)
        self._lock = threading.Lock()

    def read(self, alias: str) -> BehaviourModel | None:
        """Return an alias's model, None where nothing was counted.

        Raises ShopperStoreError and ModelError.
        """
        with self._lock:
            if alias in self._cache:
                return self._cache[alias]
        target = f"/{MODELS}/_doc/{quote(alias, safe='')}"
        status, answer = self._requests.ask("GET", target, also=(404,))
        stored = {} if status == 404 else answer.get("_source", {})
        model = unpack_behaviour_model(stored) if stored else None
        with self._lock:
            self._cache[alias] = model
        return model

    def write(self, alias: str, model: BehaviourModel) -> None:
        """Store an alias's model. Raises ShopperStoreError."""
        self._requests.create_index(MODELS, _BODY)
        self._requests.ask("PUT", f"/{MODELS}/_doc/{quote(alias, safe='')}", pack_behaviour_model(model))


def pack_behaviour_model(model: BehaviourModel) -> JsonObject:
    """Return a model as a document: names as lists, numbers as base64 of .npz."""
    shares = model.shares
    arrays = {
        "rates": model.kernels.rates,
        "type_shares": np.array(list(shares.types.values()), dtype=np.float32),
        "maker_shares": np.array(list(shares.makers.values()), dtype=np.float32),
    }
    body: JsonObject = {
        "kernel_types": list(model.kernels.types),
        "types": list(shares.types),
        "makers": list(shares.makers),
        "arrays": _encode(lambda file: np.savez_compressed(file, **arrays)),  # type: ignore[arg-type]
    }
    if model.scorer is not None:
        body["scorer"] = _encode(model.scorer.save)
    return body


def unpack_behaviour_model(source: JsonObject) -> BehaviourModel:
    """Return the model of a document of `pack_behaviour_model`. Raises ModelError for a broken scorer."""
    with np.load(BytesIO(base64.b64decode(source["arrays"])), allow_pickle=False) as arrays:
        kernels = RepurchaseKernels(
            {name: row for row, name in enumerate(source["kernel_types"], 1)}, arrays["rates"]
        )
        shares = Shares(
            dict(zip(source["types"], arrays["type_shares"].tolist(), strict=True)),
            dict(zip(source["makers"], arrays["maker_shares"].tolist(), strict=True)),
        )
    scorer: BehaviourScorer | None = None
    if "scorer" in source:
        scorer = parse_behaviour_scorer(BytesIO(base64.b64decode(source["scorer"])), MODELS)
    return BehaviourModel(kernels, shares, scorer)


def _encode(write: Callable[[BinaryIO], None]) -> str:
    file = BytesIO()
    write(file)
    return base64.b64encode(file.getvalue()).decode()

"""Who fuses: OpenSearch's own `hybrid` query where the cluster has neural-search, else Attune.

Both ways take one `_msearch` and make the same window but for ties. The cluster sends each of the window's
hits once and whole; Attune has to ask for all of both lists.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping

from opensearchpy import OpenSearch
from opensearchpy.exceptions import RequestError

from mappings.settings import SearchSettings
from mappings.types import JsonObject
from plugin_api.candidates import FirstStage, gather, vector_weight
from plugin_api.request import RerankRequest
from reranker.types import Floats

RETRY_SECONDS = 600.0
"""How long Attune fuses before it asks a cluster again that refused a hybrid query."""

SAME_KEYS = frozenset({
    "query", "post_filter", "aggs", "aggregations", "suggest", "highlight", "_source", "fields", "version",
    "docvalue_fields", "script_fields", "seq_no_primary_term", "track_total_hits", "timeout",
})  # fmt: skip
"""Body keys that mean the same beside a hybrid query. With any other, Attune fuses."""

log = logging.getLogger("attune")


class Gathering:
    """Gathers candidates in the way that `search.hybrid` and the cluster allow. Thread-safe."""

    def __init__(
        self, client: OpenSearch, settings: SearchSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._settings = settings
        self._clock = clock
        self._hybrid_from = clock()  # until then the cluster is not asked to fuse

    def gather(
        self, request: RerankRequest, vector: Floats, headers: Mapping[str, str], timeout_seconds: float
    ) -> FirstStage:
        """Ask for all candidates. Raises as `plugin_api.candidates.gather` does.

        What refuses a hybrid search may be the cluster or the request itself. So it is tried without, and
        where that works, hybrid searches rest for a while. Asking so needs no permission to list plugins.
        """
        until = self._clock() + timeout_seconds
        asked = (self._client, request, vector, self._settings.window, headers)
        if not self._may_fuse(request):
            return gather(*asked, timeout_seconds)
        try:
            first = gather(*asked, timeout_seconds, search_pipeline(self._settings, request.text))
            refusal = first.neighbours_error
        except RequestError as error:
            refusal = str(error)
        if not refusal:
            return first
        plain = gather(*asked, max(until - self._clock(), 0.001))
        if not plain.neighbours_error:
            log.info("no hybrid query in this cluster, Attune fuses itself: %s", refusal)
            self._hybrid_from = self._clock() + RETRY_SECONDS
        return plain

    def _may_fuse(self, request: RerankRequest) -> bool:
        return (
            self._settings.hybrid == "auto"
            and self._hybrid_from <= self._clock()
            and request.body.keys() <= SAME_KEYS
            and '"inner_hits"' not in json.dumps(request.body["query"])  # a hybrid query drops them
        )


def search_pipeline(settings: SearchSettings, text: str) -> JsonObject:
    """The search pipeline, sent with the search, by which OpenSearch fuses as Attune does.

    Before 3.1 OpenSearch can't weigh reciprocal ranks: equal weights are left out.
    """
    weight = vector_weight(settings, text)
    weights = {"parameters": {"weights": [round(1 - weight, 6), weight]}}
    if settings.fusion == "minmax":
        processor: JsonObject = {
            "normalization-processor": {
                "normalization": {"technique": "min_max"},
                "combination": {"technique": "arithmetic_mean", **weights},
            }
        }
    else:
        ranks = {"technique": "rrf", "rank_constant": settings.rrf_k, **(weights if weight != 0.5 else {})}
        processor = {"score-ranker-processor": {"combination": ranks}}
    return {"phase_results_processors": [processor]}

"""Recommendations from OpenSearch: candidates of one query, scored, in the shape of a search's answer."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import UNSET

from mappings import fields
from mappings.errors import BadRequest
from mappings.settings import Settings
from mappings.types import JsonObject
from plugin_api.clients.rules import SHOW, load_client_rules
from plugin_api.opensearch.client import OpenSearchClient, encode_credentials
from plugin_api.opensearch.raw_json import dumps
from plugin_api.shoppers.behaviour_store import BehaviourStore
from plugin_api.shoppers.candidate_query import (
    build_candidate_query,
    list_distant_purchases,
    needs_source_vectors,
    needs_vectors,
    weigh_sources,
)
from plugin_api.shoppers.cluster import JSON_HEADERS, ClusterRequests
from plugin_api.shoppers.events import SECONDS_A_DAY
from plugin_api.shoppers.product_counts import (
    CANDIDATE_FIELDS,
    VECTOR_FIELDS,
    digest_product,
    read_candidates,
    read_hit_id,
    read_text,
)
from plugin_api.shoppers.profile_store import ProfileStore
from plugin_api.shoppers.pseudonyms import hash_shopper
from plugin_api.shoppers.recommend_call import RecommendCall
from reranker.behaviour.counts import Profile
from reranker.behaviour.features import Shares
from reranker.behaviour.purchases import build_purchase_log
from reranker.behaviour.recommendation import (
    BehaviourModel,
    Candidate,
    Recommendation,
    RecommendationKind,
    RecommendationRequest,
    recommend_products,
)
from reranker.behaviour.repurchase import fit_kernels

_VECTOR_SOURCES = 10
"""Sources whose vectors are read."""


class ClusterRefusal(Exception):
    """OpenSearch refused a caller's search: its status and body are the answer."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(status)
        self.status, self.body = status, body


class Recommender:
    """Answers calls for recommendations. Products are read with the caller's credentials. Thread-safe."""

    def __init__(self, client: OpenSearchClient, settings: Settings) -> None:
        self._client, self._settings = client, settings
        self._rules = load_client_rules(settings.domain.name)
        requests = ClusterRequests(client, encode_credentials(settings.opensearch))
        self._profiles, self._models = ProfileStore(requests), BehaviourStore(requests)

    def recommend(self, call: RecommendCall, headers: Mapping[str, str], personal: bool = True) -> JsonObject:
        """Return an answer in the shape of a search's, each hit with its reason in `fields`.

        Without `personal` the user's profile is not read. Raises BadRequest, ClusterRefusal for what
        OpenSearch refuses the caller, ShopperStoreError, and what the client raises.
        """
        began = time.perf_counter()
        call = self._restrict(call)
        index = call.index or self._settings.search.alias
        day = time.time() / SECONDS_A_DAY
        profile = Profile()
        if call.user and personal:
            pseudonym = hash_shopper(self._settings.shoppers.key, call.user)
            profile = self._profiles.read(pseudonym).profile
        context = tuple(call.products)
        if not context and call.kind in (
            RecommendationKind.SIMILAR,
            RecommendationKind.BOUGHT_TOGETHER,
            RecommendationKind.BASKET,
        ):
            raise BadRequest(f"kind {call.kind.value} needs `products`: the product or the basket")
        request = RecommendationRequest(call.kind, call.size, day, profile, context, call.diversity)
        model = self._models.read(index) or _UNCOUNTED
        pool, known, boosts = self._gather(index, call, request, headers)
        ranked = recommend_products(replace(request, boosts=boosts), pool, known, model)
        hits = self._fetch_hits(index, call, ranked, headers)
        return {
            "took": round((time.perf_counter() - began) * 1000),
            "timed_out": False,
            "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0},
            "hits": {
                "total": {"value": len(pool), "relation": "gte"},
                "max_score": hits[0]["_score"] if hits else None,
                "hits": hits,
            },
            "ext": {
                "attune": {
                    "kind": call.kind.value,
                    "candidates": len(pool),
                    "known_products": len(profile.bought),
                    "trained": model.scorer is not None,
                    **({"notice": self._rules.notice} if self._rules.notice else {}),
                }
            },
        }

    def _restrict(self, call: RecommendCall) -> RecommendCall:
        """Return the call with a filter for what its client may be shown. Raises BadRequest."""
        if call.client is UNSET:
            return call
        if not self._rules or SHOW in call.client:
            reason = (
                f"has no {SHOW}: recommendations obey the rules"
                if self._rules
                else "needs a domain with rules"
            )
            raise BadRequest(f"client {reason}")
        given = [] if call.filter is UNSET else msgspec.json.decode(call.filter)
        filters = [*(given if isinstance(given, list) else [given]), *self._rules.apply(call.client).filters]
        return msgspec.structs.replace(call, filter=msgspec.Raw(dumps(filters)))

    def _gather(
        self, index: str, call: RecommendCall, request: RecommendationRequest, headers: Mapping[str, str]
    ) -> tuple[list[Candidate], dict[str, Candidate], dict[str, float]]:
        """Return candidates, what is known of products bought or given, and boosts by candidate."""
        is_near = needs_source_vectors(request)
        gathered = self._gather_near(index, call, request, is_near, headers)
        if is_near or len(gathered[0]) >= call.size or request.kind is RecommendationKind.TRENDING:
            return gathered
        return self._gather_near(index, call, request, True, headers)

    def _gather_near(
        self,
        index: str,
        call: RecommendCall,
        request: RecommendationRequest,
        is_near: bool,
        headers: Mapping[str, str],
    ) -> tuple[list[Candidate], dict[str, Candidate], dict[str, float]]:
        """Return the same; `is_near` says whether candidates are looked for near the sources too."""
        strengths = weigh_sources(request)
        known = self._read_sources(index, request, strengths, headers) if is_near else {}
        slim = _SLIM_WITH_VECTORS if needs_vectors(request) or call.diversity > 0 else _SLIM
        body = build_candidate_query(call, request, strengths, known) | slim
        distant = [] if known else list_distant_purchases(call, request)
        bodies = [body, *([_search_ids(distant, False) | _SLIM] if distant else [])]
        hits, *others = self._search_slim(index, bodies, headers)
        pool = read_candidates(hits, {digest_product(product): product for product in strengths})
        if not known:
            rest = [candidate for more in others for candidate in read_candidates(more, {})]
            bought = [candidate for candidate in pool if candidate.id in request.profile.bought]
            known = {candidate.id: candidate for candidate in (*bought, *rest)}
        weights = [boost.weight for boost in call.boosts]
        boosts = {
            read_hit_id(hit): sum(weights[int(name)] for name in hit.get("matched_queries", ()))
            for hit in hits
        }
        return pool, known, boosts if weights else {}

    def _search_slim(
        self, index: str, bodies: Sequence[JsonObject], headers: Mapping[str, str]
    ) -> list[list[JsonObject]]:
        """Return hits without stored fields, and with them where a hit tells no id otherwise."""
        answers = self._search_all(index, bodies, headers)
        if all(read_hit_id(hit) for hits in answers for hit in hits):
            return answers
        return self._search_all(index, [_with_ids(body) for body in bodies], headers)

    def _read_sources(
        self,
        index: str,
        request: RecommendationRequest,
        strengths: Mapping[str, float],
        headers: Mapping[str, str],
    ) -> dict[str, Candidate]:
        """Read the vectors of the first sources, and type and maker of what else the shopper bought."""
        lead = list(strengths)[:_VECTOR_SOURCES]
        bought = request.profile.bought if request.kind is RecommendationKind.NEXT_PURCHASE else {}
        others = [product for product in bought if product not in lead]
        bodies = [
            *([_search_ids(lead, False) | _SLIM_WITH_VECTORS] if lead else []),
            *([_search_ids(others, False) | _SLIM] if others else []),
        ]
        answers = self._search_slim(index, bodies, headers) if bodies else []
        return {candidate.id: candidate for hits in answers for candidate in read_candidates(hits, {})}

    def _fetch_hits(
        self,
        index: str,
        call: RecommendCall,
        ranked: Sequence[Recommendation],
        headers: Mapping[str, str],
    ) -> list[JsonObject]:
        """Return the hits as a search would, with their own `_source`, and the reason of each."""
        if not ranked:
            return []
        source: Any = {"excludes": list(fields.HIDDEN)} if call.source is UNSET else call.source
        bodies = [_search_ids([recommendation.id for recommendation in ranked], source)]
        named = {product for recommendation in ranked for product in recommendation.reason.products}
        if named:
            bodies.append(_search_ids(sorted(named), [fields.TITLE]))
        hits, *others = self._search_all(index, bodies, headers)
        by_id = {hit["_id"]: hit for hit in hits}
        titles = {
            hit["_id"]: read_text(hit.get("_source", {}), fields.TITLE) or hit["_id"]
            for more in others
            for hit in more
        }
        return [
            {
                **by_id[recommendation.id],
                "_score": round(recommendation.score, 5),
                "fields": {"attune.reason": [recommendation.reason.describe(titles)]},
            }
            for recommendation in ranked
            if recommendation.id in by_id
        ]

    def _search_all(
        self, index: str, bodies: Sequence[JsonObject], headers: Mapping[str, str]
    ) -> list[list[JsonObject]]:
        """Return the hits of several searches. Raises ClusterRefusal."""
        lines = b"".join(b"{}\n" + dumps(body).replace(b"\n", b" ") + b"\n" for body in bodies)
        responses = self._post(index, "_msearch", lines, headers)["responses"]
        for response in responses:
            if "error" in response:
                raise ClusterRefusal(response.get("status", 500), dumps(response))
        return [response["hits"]["hits"] for response in responses]

    def _post(self, index: str, api: str, body: bytes, headers: Mapping[str, str]) -> JsonObject:
        """Return the answer to a request of the caller's. Raises ClusterRefusal."""
        target = f"/{quote(index, safe='')}/{api}"
        answer = self._client.request("POST", target, {**headers, **JSON_HEADERS}, body)
        if answer.status >= 300:
            raise ClusterRefusal(answer.status, answer.body)
        parsed: JsonObject = msgspec.json.decode(answer.body)
        return parsed


_SLIM: JsonObject = {"stored_fields": "_none_", "docvalue_fields": list(CANDIDATE_FIELDS)}
"""Fetch doc values alone: stored fields, `_id` among them, take most of the time of a search for 150 hits."""

_SLIM_WITH_VECTORS: JsonObject = {**_SLIM, "docvalue_fields": list(VECTOR_FIELDS)}


def _with_ids(body: JsonObject) -> JsonObject:
    """Return a search that fetches `_id` too."""
    return {"_source": False, **{name: value for name, value in body.items() if name != "stored_fields"}}


def _search_ids(ids: Sequence[str], source: Any) -> JsonObject:
    return {
        "query": {"ids": {"values": list(ids)}},
        "size": len(ids),
        "track_total_hits": False,
        "_source": source,
    }


_UNCOUNTED = BehaviourModel(
    fit_kernels(build_purchase_log([]), [], 0.0),
    Shares({}, {}),
)
"""The model of a shop whose orders were not counted."""

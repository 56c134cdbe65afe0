"""Whoever asks, by whatever route, however warm the caches: nobody sees what OpenSearch would not show.

Each caller is compared with what OpenSearch itself shows to it of every product. Callers take turns, so that
what was remembered for one is there when the next one asks.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

from tests.integration.security.secured import GATEWAY, KEY, PASSWORD, RIGHTS, Secured, by_text

pytestmark = pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
AGGREGATIONS = {
    "brands": {"terms": {"field": "brand.keyword", "size": 100}},
    "price": {"max": {"field": "price"}},
}
TEXTS = ("hp notebook", "laptop", "usb stick")
PROXY = {"X-Forwarded-For": "198.51.100.1"}
"""Without an address OpenSearch takes nobody's word for who a user is."""

HP_HOST, LENOVO_HOST = "203.0.113.9", "203.0.113.10"


@dataclass(frozen=True)
class Caller:
    """Who asks: a user, and the headers that make it another one."""

    user: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


CALLERS: Mapping[str, Caller] = {
    **{user: Caller(user) for user in RIGHTS},
    "acting for shopper": Caller(GATEWAY, {"opendistro_security_impersonate_as": "shopper"}),
    "acting for hp_dealer": Caller(GATEWAY, {"opendistro_security_impersonate_as": "hp_dealer"}),
    "proxied, everything": Caller("", {**PROXY, "x-proxy-user": "ann", "x-proxy-roles": "everything"}),
    "proxied, HP": Caller("", {**PROXY, "x-proxy-user": "ann", "x-proxy-roles": "hp"}),
    "from the HP shop": Caller("visitor", {"X-Forwarded-For": HP_HOST}),
    "from the Lenovo shop": Caller("visitor", {"X-Forwarded-For": LENOVO_HOST}),
}


def one_brand(brand: str) -> dict[str, object]:
    """A role that sees one brand and no prices."""
    rights = {
        "index_patterns": ["products*"],
        "allowed_actions": ["read"],
        "dls": json.dumps({"term": {"brand.keyword": brand}}),
        "fls": ["~price"],
    }
    return {"cluster_permissions": ["cluster:admin/opensearch/ml/predict"], "index_permissions": [rights]}


@pytest.fixture(scope="module")
def shop(secured: Secured) -> Iterator[Secured]:
    """The secured shop, with roles by what a proxy says and by address, and a user who may act for others."""
    secured.trust_proxies()
    secured.administer("roles", "hp_shop", one_brand("HP"))
    secured.administer("roles", "lenovo_shop", one_brand("Lenovo"))
    secured.administer("rolesmapping", "hp_shop", {"hosts": [HP_HOST], "backend_roles": ["hp"]})
    secured.administer("rolesmapping", "lenovo_shop", {"hosts": [LENOVO_HOST]})
    secured.administer("rolesmapping", "shopper", {"users": ["shopper"], "backend_roles": ["everything"]})
    secured.administer("rolesmapping", "hp_dealer", {"users": ["hp_dealer"]})
    for user in (GATEWAY, "visitor"):
        secured.administer("internalusers", user, {"password": PASSWORD})
    yield secured
    for role in ("hp_shop", "lenovo_shop"):  # a role with a condition is told of by `attune install`
        secured.administer("roles", role, {"index_permissions": []})


@dataclass(frozen=True)
class View:
    """What OpenSearch shows one caller: each product's source, and how it counts."""

    shop: Secured
    caller: Caller

    def ask(self, base: str, path: str, body: object, **headers: str) -> requests.Response:
        return self.shop.ask(base, path, body, self.caller.user, **{**self.caller.headers, **headers})

    def products(self) -> dict[str, Any]:
        answer = self.ask(self.shop.direct, "products/_search", {"query": {"match_all": {}}, "size": 5000})
        assert answer.status_code == 200, answer.text
        return {hit["_id"]: hit["_source"] for hit in answer.json()["hits"]["hits"]}

    def check(self, answer: Any, products: Mapping[str, Any], search: dict[str, Any]) -> None:
        """Hold one answer of the sidecar to what the caller sees, and to OpenSearch's own counts of it."""
        assert "hits" in answer, answer
        for hit in answer["hits"]["hits"]:
            assert hit["_id"] in products
            visible = products[hit["_id"]]
            assert hit["_source"].items() <= visible.items()
            assert visible.keys() - hit["_source"].keys() <= {"attune"}
        is_ranked = answer.get("ext", {}).get("attune", {}).get("rerank_status") == "reranked"
        assert answer["aggregations"] == self.count(search, is_ranked)["aggregations"]

    def count(self, search: dict[str, Any], is_widened: bool) -> Any:
        """OpenSearch's own answer to this caller, over all that the sidecar finds where it `is_widened`."""
        if not is_widened:
            return self.ask(self.shop.direct, "products/_search", search).json()
        whole = {"query": search["query"], "size": 1000, "_source": False}
        found = self.ask(self.shop.reranked, "products/_search", whole).json()
        ids = [hit["_id"] for hit in found["hits"]["hits"]]
        widened = {"bool": {"should": [search["query"], {"ids": {"values": ids}}]}}
        return self.ask(self.shop.direct, "products/_search", {**search, "query": widened}).json()

    def check_routes(self, text: str) -> list[str]:
        """Ask by every route and check each answer; return how each was reranked."""
        products = self.products()
        search = by_text(text, size=30, aggs=AGGREGATIONS)
        source = json.dumps(search).replace(json.dumps(text), '"{{text}}"')
        template = {"source": source, "params": {"text": text}}
        listed, rendered = (
            f'{{"index": "products"}}\n{json.dumps(body)}\n' * 2 for body in (search, template)
        )
        requests: list[tuple[str, object]] = [
            ("products/_search", search),
            ("products/_search", search),  # from the cache
            ("products/_search", {**search, "from": 30}),
            ("products/_search/template", template),
            ("_msearch", listed),
            ("_msearch/template", rendered),
        ]
        answers = []
        for path, body in requests:
            kind = {"Content-Type": "application/x-ndjson"} if path.startswith("_msearch") else {}
            through = self.ask(self.shop.reranked, path, body, **kind)
            if not through.ok:  # a right to lists or templates is missing
                assert (
                    through.status_code == self.ask(self.shop.direct, path, body, **kind).status_code == 403
                )
                continue
            answers += through.json().get("responses", [through.json()])
        for answer in answers:
            self.check(answer, products, search)
        self.check_explanations(text, products)
        return [answer.get("ext", {}).get("attune", {}).get("rerank_status", "") for answer in answers]

    def check_explanations(self, text: str, products: Mapping[str, Any]) -> None:
        """A product that the caller does not see is one that is not there."""
        everything = View(self.shop, CALLERS["shopper"]).products()
        hidden = next(iter(everything.keys() - products.keys()), None)
        if hidden is None:
            return
        bodies = [{"index": "products", "id": name, "query": text} for name in (hidden, "nowhere")]
        refused, nowhere = (
            self.ask(self.shop.reranked, "_attune/explain", body, **{"X-Api-Key": KEY}) for body in bodies
        )
        assert refused.status_code == nowhere.status_code == 400
        assert refused.text == nowhere.text.replace("nowhere", hidden)


def test_callers_in_turn_see_what_opensearch_shows_each(shop: Secured) -> None:
    sizes = {name: len(View(shop, caller).products()) for name, caller in CALLERS.items()}
    assert sizes["acting for hp_dealer"] == sizes["hp_dealer"] == sizes["proxied, HP"]
    assert 0 < sizes["hp_dealer"] < sizes["shopper"] == sizes["acting for shopper"]
    assert 0 < sizes["from the Lenovo shop"] != sizes["from the HP shop"] == sizes["hp_dealer"]
    reranked = set()
    for text in TEXTS:
        for _ in range(2):
            for name, caller in CALLERS.items():
                if "reranked" in View(shop, caller).check_routes(text):
                    reranked.add(name)
    assert reranked >= CALLERS.keys() - {"text_only", "titles_only"}


def test_a_role_that_changes_changes_what_is_seen_at_once(shop: Secured) -> None:
    callers = [CALLERS[name] for name in ("from the HP shop", "proxied, HP", "shopper")]
    for brand in ("HP", "Lenovo", "HP", "Dell"):
        shop.administer("roles", "hp_shop", one_brand(brand))
        for caller in callers:
            View(shop, caller).check_routes("laptop")
        brands = {source["brand"] for source in View(shop, callers[0]).products().values()}
        assert brands <= {brand}


@pytest.mark.parametrize(
    "caller",
    [
        Caller("visitor", {"opendistro_security_impersonate_as": "shopper"}),
        Caller("visitor", {"x-proxy-user": "shopper"}),
        Caller("visitor", {"X-Forwarded-For": "203.0.113.200"}),
        Caller("", {"X-Forwarded-For": HP_HOST}),
        Caller("", {"opendistro_security_impersonate_as": "shopper"}),
        Caller("", {"x-proxy-user": "visitor"}),
        Caller("", {"x-proxy-user": "shopper"}),
    ],
)
def test_a_header_gives_the_same_rights_as_straight(shop: Secured, caller: Caller) -> None:
    view, search = View(shop, caller), by_text("laptop", aggs=AGGREGATIONS)
    straight, through = (view.ask(base, "products/_search", search) for base in (shop.direct, shop.reranked))
    assert through.status_code == straight.status_code
    if straight.ok:
        view.check(through.json(), view.products(), search)

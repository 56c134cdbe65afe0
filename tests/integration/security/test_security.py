"""OpenSearch 2.19.1 with its security plugin: whatever Attune does, a caller sees what OpenSearch shows it.

The sidecar is given the administrator's password in its settings, which is for Attune's commands alone: no
caller may gain by it.
"""

import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import HealthcheckWaitStrategy

from plugin_api.search.memory.circuit_breaker import FAILURES_TO_OPEN
from plugin_api.search.memory.ranking_cache import SETTLE_SECONDS
from tests.integration.security.secured import KEY, PASSWORD, PREDICT, Secured, by_text
from tests.integration.stack import LOCKED_DOWN, SLOW_MACHINE_SECONDS, address


@pytest.fixture(scope="module")
def installed(secured: Secured) -> str:
    """Attune in the cluster, and what installing it printed."""
    return secured.attune("install", "--sidecar-url", "http://localhost:8080", "--api-key", KEY)


pytestmark = pytest.mark.filterwarnings("ignore:Unverified HTTPS request")


def hits(body: Any) -> list[Any]:
    return list(body["hits"]["hits"])


def ids(body: Any) -> list[str]:
    return [hit["_id"] for hit in hits(body)]


def inside(secured: Secured, search: object, user: str) -> Any:
    """What the cluster finds and reranks by itself; asked again where a busy machine was too late."""
    for _ in range(20):
        answer = secured.ask(secured.direct, "products/_search?search_pipeline=attune", search, user)
        assert answer.status_code == 200, answer.text
        if "profile" in answer.json():  # the rerank processor leaves an empty one
            return answer.json()
    raise AssertionError(f"not reranked: {answer.text[:300]}")


@pytest.fixture(scope="module")
def nginx(secured: Secured) -> Iterator[str]:
    """The address of nginx, in the same network as the sidecar, which checks OpenSearch's certificate."""
    container = DockerContainer("attune-nginx").with_envs(
        ATTUNE_OPENSEARCH_URL="https://localhost:9200",
        ATTUNE_OPENSEARCH_CA_FILE="/ca.pem",
        SIDECAR_URL="http://localhost:8080",
        PORT="8000",
    )
    shared = f"container:{secured.opensearch.get_wrapped_container().id}"
    container.with_kwargs(**LOCKED_DOWN | {"network_mode": shared, "init": False})
    container.with_volume_mapping(str(secured.authority), "/ca.pem")
    with container.waiting_for(HealthcheckWaitStrategy().with_startup_timeout(SLOW_MACHINE_SECONDS)):
        yield address(secured.opensearch, 8000)


@pytest.mark.parametrize("user", ["shopper", "hp_dealer", "text_only", "titles_only", "unknown"])
def test_through_nginx_each_user_gets_what_it_gets_without(secured: Secured, nginx: str, user: str) -> None:
    search = by_text("hp notebook", size=50, aggs={"price": {"max": {"field": "price"}}})
    through, straight = (
        secured.ask(base, "products/_search", search, user) for base in (nginx, secured.reranked)
    )
    if user == "unknown":
        assert (through.status_code, through.text) == (401, straight.text)
    else:
        assert through.json()["hits"] == straight.json()["hits"]
        assert through.json()["aggregations"] == straight.json()["aggregations"]
    for path in ("products/_count", "elsewhere/_count"):
        body = {"query": {"match_all": {}}}
        through, straight = (secured.ask(base, path, body, user) for base in (nginx, secured.direct))
        assert (through.status_code, through.text) == (straight.status_code, straight.text)


def words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def status(body: Any) -> str:
    return str(body["ext"]["attune"]["rerank_status"])


def test_a_user_may_search_whatever_has_no_rights_to_vectors_or_lists(secured: Secured) -> None:
    body = secured.ask(secured.reranked, "products/_search", by_text("gaming laptop"), "reader").json()
    assert status(body) == "reranked"
    assert hits(body)[0]["_source"]["price"]


@pytest.mark.parametrize("text", ["hp notebook", "gaming laptop", "usb stick", "tv"])
def test_documents_and_fields_that_opensearch_hides_stay_hidden(secured: Secured, text: str) -> None:
    search = by_text(
        text,
        size=500,
        docvalue_fields=["price", "brand.keyword"],
        fields=["price", "title"],
        highlight={"fields": {"title": {}}},
        aggs={
            "brands": {"terms": {"field": "brand.keyword"}},
            "price": {"max": {"field": "price"}},
        },
    )
    everybody = secured.ask(secured.reranked, "products/_search", search, "shopper").json()
    assert status(everybody) == "reranked"
    assert everybody["aggregations"]["price"]["value"]
    assert {hit["_source"]["brand"] for hit in hits(everybody)} - {"HP"}

    body = secured.ask(secured.reranked, "products/_search", search, "hp_dealer").json()
    assert status(body) == "reranked"
    for hit in hits(body):
        assert hit["_source"]["brand"] == "HP"
        assert "price" not in hit["_source"]
        assert "price" not in hit["fields"]
    ids = [hit["_id"] for hit in hits(body)]
    assert len(ids) == body["hits"]["total"]["value"]
    counted = {**search, "query": {"ids": {"values": ids}}}
    direct = secured.ask(secured.direct, "products/_search", counted, "hp_dealer").json()
    assert body["aggregations"] == direct["aggregations"]
    assert body["aggregations"]["price"]["value"] is None
    assert [bucket["key"] for bucket in body["aggregations"]["brands"]["buckets"]] in ([], ["HP"])


@pytest.fixture
def one_brand(secured: Secured) -> Iterator[Callable[..., None]]:
    """Narrows what the user one_brand may see, until the test has ended."""

    def define(**narrowed: object) -> None:
        rights = {"index_patterns": ["products*"], "allowed_actions": ["read"], **narrowed}
        secured.administer("roles", "one_brand", {"index_permissions": [rights]})

    define()
    account = {"password": PASSWORD, "opendistro_security_roles": ["one_brand"]}
    secured.administer("internalusers", "one_brand", account)
    yield define
    define()  # a role with a condition is told of by `attune install`


@pytest.fixture
def narrowed_to(one_brand: Callable[..., None]) -> Callable[[str], None]:
    """Lets the user one_brand see one brand's products only."""
    return lambda brand: one_brand(dls=json.dumps({"term": {"brand.keyword": brand}}), fls=["~price"])


def test_a_kept_window_is_one_callers_and_ends_with_what_it_may_see(
    secured: Secured, narrowed_to: Callable[[str], None]
) -> None:
    search = by_text("notebook", size=100, aggs={"brands": {"terms": {"field": "brand.keyword"}}})

    def asked(user: str) -> Any:
        return secured.ask(secured.reranked, "products/_search", search, user).json()

    narrowed_to("HP")
    for user in ("shopper", "one_brand", "reader"):
        answers = [asked(user)]
        time.sleep(SETTLE_SECONDS)
        answers += [asked(user) for _ in range(3)]
        assert "cached" in answers[-1]["ext"]["attune"], user
        assert len({json.dumps(ids(body)) for body in answers}) == 1
        brands = {hit["_source"]["brand"] for hit in hits(answers[-1])}
        assert (brands == {"HP"}) == (user == "one_brand")
    narrowed_to("Lenovo")
    body = asked("one_brand")
    assert "cached" not in body["ext"]["attune"]
    assert {hit["_source"]["brand"] for hit in hits(body)} == {"Lenovo"}
    assert [bucket["key"] for bucket in body["aggregations"]["brands"]["buckets"]] == ["Lenovo"]


@pytest.mark.parametrize(
    "narrowed",
    [
        {"fls": ["~description"]},
        {"masked_fields": ["brand"]},
        {"fls": ["~attune.tokens"]},
        {"dls": json.dumps({"bool": {"must_not": {"term": {"brand.keyword": "HP"}}}})},
    ],
    ids=["a field", "a mask", "vectors", "documents"],
)
def test_a_cached_order_ends_with_what_its_caller_may_see(
    secured: Secured, one_brand: Callable[..., None], narrowed: dict[str, object]
) -> None:
    def ask() -> Any:
        return secured.ask(secured.reranked, "products/_search", by_text("notebook"), "one_brand").json()

    one_brand()
    ask()
    time.sleep(SETTLE_SECONDS)
    assert any("cached" in ask()["ext"]["attune"] for _ in range(10))
    one_brand(**narrowed)
    assert "cached" not in ask()["ext"]["attune"]


def test_in_lists_and_under_other_queries_they_stay_hidden(secured: Secured) -> None:
    texts = by_text("notebook")["query"]
    searches: list[dict[str, object]] = [
        by_text("hp notebook", size=100),
        {"query": {"bool": {"must": [texts], "should": [{"range": {"price": {"gt": 0}}}]}}, "size": 100},
        {"query": {"bool": {"must": [texts], "filter": [{"range": {"price": {"gt": 0}}}]}}, "size": 100},
        {"query": {"match_all": {}}, "ext": {"attune": {"query": "gaming laptop"}}, "size": 100},
        {"query": {"match_all": {}}, "size": 100, "sort": [{"price": "desc"}]},
    ]
    lines = "".join(f'{{"index": "products"}}\n{json.dumps(search)}\n' for search in searches)
    lines += f'{{"index": "elsewhere"}}\n{json.dumps(searches[0])}\n'
    ndjson = {"Content-Type": "application/x-ndjson"}
    answers = secured.ask(secured.reranked, "_msearch", lines, "hp_dealer", **ndjson).json()["responses"]
    *found, forbidden = answers
    assert (forbidden["status"], forbidden["error"]["type"]) == (403, "security_exception")
    for search in searches:
        found.append(secured.ask(secured.reranked, "products/_search", search, "hp_dealer").json())
    statuses = ["reranked", "reranked", "reranked", "reranked", "skipped"]
    assert [status(body) for body in found] == statuses * 2
    for body in found:
        assert {hit["_source"]["brand"] for hit in hits(body)} <= {"HP"}
        assert not any("price" in hit["_source"] for hit in hits(body))
    for at in (0, 1, 3, 4):
        assert hits(found[at])
    assert not hits(found[2])  # nothing has a price that it may see


def test_an_explanation_is_of_what_its_caller_sees(secured: Secured) -> None:
    everything = {"query": {"match_all": {}}, "size": 300, "_source": ["brand", "title", "description"]}
    products = hits(secured.ask(secured.direct, "products/_search", everything, "shopper").json())
    product = next(hit for hit in products if hit["_source"]["brand"] == "HP")
    theirs = product["_id"]
    hidden = next(hit["_id"] for hit in products if hit["_source"]["brand"] != "HP")

    def explained(product: str, user: str) -> requests.Response:
        asked = {"index": "products", "id": product, "query": "hp notebook"}
        return secured.ask(secured.reranked, "_attune/explain", asked, user, **{"X-Api-Key": KEY})

    assert explained(hidden, "shopper").status_code == 200
    refused = explained(hidden, "hp_dealer")
    nowhere = explained("nowhere", "hp_dealer")
    assert refused.status_code == nowhere.status_code == 400
    assert refused.text == nowhere.text.replace("nowhere", hidden)  # nor does it tell that there is one
    answer = explained(theirs, "hp_dealer")
    assert answer.status_code == 200
    assert "price" not in answer.text
    assert explained(theirs, "text_only").json()["why_not"] == "no_vectors"
    assert explained(theirs, "").status_code == 401

    spoken, shown = (words(product["_source"][name]) for name in ("description", "title"))
    secret = {word for word in spoken - shown if len(word) > 4}
    assert secret
    told = explained(theirs, "titles_only")
    assert told.json()["why_not"] == "other_text"
    assert not secret & words(told.text)


def test_a_reader_of_text_alone_gets_opensearchs_order_and_disturbs_nobody(secured: Secured) -> None:
    search = by_text("gaming laptop", size=20)
    direct = secured.ask(secured.direct, "products/_search", search, "text_only").json()
    for _ in range(FAILURES_TO_OPEN + 1):
        body = secured.ask(secured.reranked, "products/_search", search, "text_only").json()
        assert ids(body) == ids(direct)
        assert status(body) != "reranked"
        assert body["ext"]["attune"]["reason"]
        assert not any("attune" in hit["_source"] for hit in hits(body))
    body = secured.ask(secured.reranked, "products/_search", search, "shopper").json()
    assert status(body) == "reranked"


@pytest.mark.parametrize(
    ("path", "authorization"),
    [
        ("products/_search", ""),
        ("_search", "Basic eDp5"),
        ("products/_search", "Bearer e30.e30.x"),
        ("products/_msearch", ""),
        ("products/_msearch", "Basic eDp5"),
        ("products/_count", ""),
    ],
)
def test_whom_opensearch_does_not_know_gets_its_own_401(
    secured: Secured, path: str, authorization: str
) -> None:
    search = json.dumps(by_text("tv"))
    body = f"{{}}\n{search}\n" if "msearch" in path else search
    headers = {"Authorization": authorization} if authorization else {}
    through, direct = (
        secured.ask(base, path, body, **headers) for base in (secured.reranked, secured.direct)
    )
    assert through.status_code == direct.status_code == 401
    assert through.text == direct.text
    assert through.headers.get("www-authenticate") == direct.headers.get("www-authenticate")


@pytest.mark.parametrize("path", ["elsewhere/_search", "_all/_search", "products,elsewhere/_search"])
def test_what_a_user_may_not_search_is_a_403_as_without_attune(secured: Secured, path: str) -> None:
    through, direct = (
        secured.ask(base, path, by_text("tv"), "shopper") for base in (secured.reranked, secured.direct)
    )
    assert through.status_code == direct.status_code == 403
    assert through.json()["error"]["type"] == direct.json()["error"]["type"] == "security_exception"


def test_inside_the_cluster_it_takes_the_right_to_predict(secured: Secured, installed: str) -> None:
    assert "users of hp_dealer have document-level security" in installed
    assert PREDICT in installed
    search = by_text("hp notebook", size=20, _source=["brand", "price"])

    path = "products/_search?search_pipeline="
    own = secured.ask(secured.direct, f"{path}_none", search, "shopper").json()
    found = inside(secured, search, "shopper")
    assert len(ids(found)) == 20
    assert ids(found) != ids(own)
    for user in ("reader", "text_only"):
        answer = secured.ask(secured.direct, f"{path}attune", search, user)
        assert answer.status_code == 200
        assert ids(answer.json()) == ids(own)


def test_inside_the_cluster_documents_and_fields_stay_hidden(secured: Secured, installed: str) -> None:
    body = inside(secured, by_text("hp notebook", size=50), "hp_dealer")
    assert len(hits(body)) == 50
    assert {hit["_source"]["brand"] for hit in hits(body)} == {"HP"}
    assert not any(hit["_source"].keys() & {"price", "attune"} for hit in hits(body))


def test_a_cluster_without_the_sidecars_key_is_not_installed_to(secured: Secured, installed: str) -> None:
    said = secured.attune("install", "--uninstall")
    assert "delete search pipeline attune" in said
    code, output = secured.sidecar.exec(
        ["attune", "install", "--sidecar-url", "http://localhost:8080", "--api-key", "wrong"]
    )
    assert code == 1
    assert b"give its API key with --api-key" in output
    assert secured.attune("install", "--uninstall") == "Nothing of Attune is installed in this cluster.\n"

import json
import threading
from collections.abc import Iterator

import pytest
from click.testing import CliRunner
from werkzeug import Request, Response
from werkzeug.serving import make_server

from mappings.errors import AttuneError, ClusterDown, ModelMismatch
from plugin_api.commands.context import CommandContext
from plugin_api.commands.search import search
from tests.fakes.shop import Shop


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A Shop that listens on a port, which the settings name."""
    shop = Shop()
    shop.products, shop.near = {"a": 51, "b": 102}, {"c": 255}

    @Request.application
    def answer(request: Request) -> Response:
        if request.path == "/":
            return json_response({"version": {"number": "3.5.0"}})
        if request.path.endswith("_alias"):
            return json_response({"shop-1": {"aliases": {"shop": {}}}, "toys-1": {"aliases": {"toys": {}}}})
        if "/_mapping/field/" in request.path:
            name = request.path.rpartition("/")[2]
            return json_response({"shop-1": {"mappings": {name: {}} if name == "brand" else {}}})
        if request.path.startswith("/nowhere/"):
            return json_response({"error": {"type": "index_not_found_exception"}, "status": 404}, 404)
        if request.mimetype not in ("application/json", "application/x-ndjson"):
            return json_response({"error": f"Content-Type header [{request.mimetype}] is not supported"}, 406)
        reply = shop.request(request.method, request.full_path, {}, request.get_data())
        return Response(reply.body, reply.status, dict(reply.headers))

    server = make_server("127.0.0.1", 0, answer, threaded=True)
    server.daemon_threads = False  # so that closing the server waits for its connections to end
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("ATTUNE_OPENSEARCH_URL", f"http://127.0.0.1:{server.port}")
    yield shop
    server.shutdown()
    thread.join()
    server.server_close()


def json_response(body: object, status: int = 200) -> Response:
    return Response(json.dumps(body), status, content_type="application/json")


def run(*arguments: str) -> str:
    result = CliRunner().invoke(search, arguments, obj=CommandContext(None), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def failure(*arguments: str) -> BaseException | None:
    return CliRunner().invoke(search, arguments, obj=CommandContext(None)).exception


def test_table_has_rank_score_and_title(shop: Shop) -> None:
    header, first, second, summary = run("mouse", "--alias", "shop", "--keyword").splitlines()
    assert header.split() == ["#", "score", "brand", "title", "price"]
    assert first.split() == ["1", "1.000", "product", "a"]
    assert second.split() == ["2", "0.500", "product", "b"]
    assert summary.startswith("2 of 2 hits in ")


def test_json_is_for_programs(shop: Shop) -> None:
    body = json.loads(run("mouse", "--alias", "shop", "--keyword", "--compare", "--json"))
    assert (body["query"], body["index"], body["rerank_status"]) == ("mouse", "shop", "skipped")
    assert [(hit["rank"], hit["id"], hit["keyword_rank"]) for hit in body["hits"]] == [
        (1, "a", 1),
        (2, "b", 2),
    ]


def test_filters_reach_opensearch(shop: Shop) -> None:
    run("mouse", "--alias", "shop", "--keyword", "--filter", "brand=HP", "--filter", "attributes.color=black")
    assert shop.requests[-1][2][0]["query"]["bool"]["filter"] == [
        {"term": {"brand.keyword": "HP"}},
        {"term": {"attributes.color": "black"}},
    ]


def test_nothing_found_is_said(shop: Shop) -> None:
    shop.products = {}
    assert run("mouse", "--alias", "shop", "--keyword") == "No hits.\n"


def test_a_search_that_opensearch_refuses_is_one_line(shop: Shop) -> None:
    cause = {"type": "query_shard_exception", "reason": 'For input string: "cheap"'}
    shop.refuse["products"] = (400, {"error": {"root_cause": [cause], **cause}, "status": 400})
    error = failure("mouse", "--alias", "shop", "--filter", "price=cheap", "--keyword")
    assert isinstance(error, AttuneError)
    assert str(error) == 'OpenSearch refused the search in shop: For input string: "cheap"'


def test_a_filter_on_a_field_that_does_not_exist_is_named(shop: Shop) -> None:
    shop.products = {}
    filters = ("--filter", "colour=black", "--filter", "brand=HP", "--filter", "attributes.size=7")
    arguments = ("mouse", "--alias", "shop", "--keyword", *filters)
    result = CliRunner().invoke(search, arguments, obj=CommandContext(None), catch_exceptions=False)
    assert result.stdout == "No hits.\n"
    assert result.stderr == "attune: shop has no field colour; is it attributes.colour?\n"


def test_an_empty_text_is_wrong_use() -> None:
    result = CliRunner().invoke(search, [" "], obj=CommandContext(None))
    assert result.exit_code == 2
    assert "give the words to search for" in result.stderr


def test_malformed_filter_is_wrong_use(shop: Shop) -> None:
    result = CliRunner().invoke(search, ["mouse", "--filter", "brand"], obj=CommandContext(None))
    assert result.exit_code == 2
    assert "FIELD=VALUE" in result.stderr


def test_unknown_alias_names_those_that_exist(shop: Shop) -> None:
    error = failure("mouse", "--alias", "nowhere", "--keyword")
    assert isinstance(error, AttuneError)
    assert "no alias or index nowhere; there are: shop, toys" in str(error)


def test_an_index_of_another_model_is_an_error(shop: Shop) -> None:
    error = failure("mouse", "--alias", "shop")
    assert isinstance(error, ModelMismatch)
    assert "shop-1 was made with model 0123456789ab" in str(error)


def test_opensearch_that_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTUNE_OPENSEARCH_URL", "http://127.0.0.1:9")
    error = failure("mouse")
    assert isinstance(error, ClusterDown)
    assert "attune up" in str(error)

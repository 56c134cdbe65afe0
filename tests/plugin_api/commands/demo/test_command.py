import gzip
import io
import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner
from opensearchpy import OpenSearch
from rich.cells import cell_len
from rich.console import Console

from indexer.catalogue.field_map import load_field_map
from indexer.sources.files import open_catalogue
from mappings.errors import AttuneError, ClusterDown
from mappings.settings import SearchSettings, Settings, SidecarSettings
from plugin_api.cli import attune
from plugin_api.commands.demo.catalogue import CATALOGUE, FIELD_MAP, PRODUCTS
from plugin_api.commands.demo.comparison import AttuneHit, QueryComparison, compare_query, serves_index
from plugin_api.commands.demo.queries import CHINESE_QUERIES, DEMO_QUERIES, DemoQuery
from plugin_api.commands.demo.report import format_move, show_comparison, show_next
from plugin_api.sidecar.app import create_app
from plugin_api.terminal import output_console
from tests.fakes.http_peer import answering, peer
from tests.fakes.memory_connection import ClientRequest, open_client
from tests.fakes.shop import Shop, StandInModel

MOUSE = DemoQuery("mouse", "a test")
TITLE = "A very long title [with brackets] of a product that can't fit into half a line, whatever its width"


@pytest.fixture
def sidecar(shop: Shop) -> OpenSearch:
    settings = Settings(search=SearchSettings(keyword_weight=1.0), sidecar=SidecarSettings(deadline_ms=5000))
    web = create_app(settings, shop, StandInModel()).test_client()

    def answer(request: ClientRequest) -> tuple[int, Any]:
        options = {"query_string": request.params, "data": request.body, "content_type": "application/json"}
        response = web.open(request.path, method=request.method, **options)
        return response.status_code, response.json

    return open_client(answer)


def comparison(**changed: Any) -> QueryComparison:
    usual = {
        "query": "mouse",
        "shows": "a test",
        "keyword": (TITLE, "b"),
        "attune": (AttuneHit("b", 2), AttuneHit(TITLE, 1), AttuneHit("c", None)),
        "keyword_ms": 12.3,
        "attune_ms": 45.6,
        "rerank_ms": 7.8,
        "reason": "",
    }
    return QueryComparison(**{**usual, **changed})


def shown(comparison: QueryComparison, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    show_comparison(console, 1, 12, comparison)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_the_catalogue_is_what_the_demo_says() -> None:
    with gzip.open(CATALOGUE, "rt", encoding="utf-8") as lines:
        ids = [json.loads(line)["id"] for line in lines]
    assert len(ids) == len(set(ids)) == PRODUCTS
    assert load_field_map(FIELD_MAP, open_catalogue(CATALOGUE)).brand == ("supplier",)


def test_the_queries_each_say_what_they_show() -> None:
    queries = [*DEMO_QUERIES, *CHINESE_QUERIES]
    assert len({query.text for query in queries}) == len(queries)
    assert all(query.shows for query in queries)


def test_both_rankings_are_compared(shop: Shop, client: OpenSearch, sidecar: OpenSearch) -> None:
    shop.products, shop.near = {"a": 51, "b": 102}, {"c": 255}
    shop.slow_seconds = 0.002
    found = compare_query(client, sidecar, "shop", MOUSE)
    assert found.keyword == ("product a", "product b")
    assert found.attune == (
        AttuneHit("product c", None),
        AttuneHit("product b", 2),
        AttuneHit("product a", 1),
    )
    assert found.reason == ""
    assert found.attune_ms >= 2
    assert found.keyword_ms >= 2


def test_hits_that_were_not_reranked_come_with_the_reason(
    shop: Shop, client: OpenSearch, sidecar: OpenSearch
) -> None:
    shop.products = {"a": 51}
    shop.models = {"a": "other-model1"}
    found = compare_query(client, sidecar, "shop", MOUSE)
    assert found.attune == (AttuneHit("product a", 1),)
    assert "other-model1" in found.reason
    assert "not reranked: " in "".join(shown(found, 100))


def test_a_search_that_fails_is_one_error(shop: Shop, client: OpenSearch, sidecar: OpenSearch) -> None:
    shop.refuse = {"products": (404, {"error": {"type": "index_not_found_exception"}, "status": 404})}
    with pytest.raises(AttuneError, match=r"^a search was refused: 404 index_not_found_exception$"):
        compare_query(client, sidecar, "shop", MOUSE)


def test_a_sidecar_before_another_opensearch_is_told_apart(shop: Shop, sidecar: OpenSearch) -> None:
    assert not serves_index(sidecar, "shop", "shop-1")
    shop.products = {"a": 51}
    assert serves_index(sidecar, "shop", "shop-1")
    assert not serves_index(sidecar, "shop", "shop-2")


@pytest.mark.parametrize(
    ("rank", "keyword_rank", "mark"),
    [(1, None, "new"), (1, 8, "▲7"), (3, 1, "▼2"), (2, 2, "=")],
)
def test_marks_say_how_far_a_hit_moved(rank: int, keyword_rank: int | None, mark: str) -> None:
    assert format_move(rank, keyword_rank).plain == mark


@pytest.mark.parametrize("width", [60, 100, 180])
def test_rankings_stand_side_by_side_at_any_width(width: int) -> None:
    lines = shown(comparison(), width)
    assert max(map(cell_len, lines)) <= width
    text = "\n".join(lines)
    assert "\x1b" not in text
    assert "A very long title [wi" in text
    first, second, third = lines[-3:]
    assert (first.split()[-2:], third.split()) == (["▲1", "b"], ["3", "new", "c"])
    assert "▼1" in second


def test_times_stand_above_their_ranking() -> None:
    assert "keyword, 12 ms" in shown(comparison(), 120)[2]
    assert "Attune, 46 ms, of which reranking 8 ms" in shown(comparison(), 120)[2]


def test_no_hits_are_said_to_be_none() -> None:
    assert "no hits" in shown(comparison(keyword=(), attune=()), 100)[-1]


def test_without_a_terminal_the_output_has_100_columns_and_commands_stay_whole(
    capsys: pytest.CaptureFixture[str],
) -> None:
    console = output_console()
    assert console.width == 100
    command = "curl " + "x" * 150
    show_next(console, [(command, "a test")])
    assert f"    {command}" in capsys.readouterr().out.splitlines()


def run(*arguments: str, **environment: str) -> BaseException | None:
    return CliRunner().invoke(attune, ["demo", *arguments], env=environment).exception


def test_a_taken_port_is_told_before_any_work() -> None:
    with peer(answering(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")) as other:
        port = urlsplit(other.url).port
        failed = run("--port", str(port), ATTUNE_OPENSEARCH_URL="https://127.0.0.1:9")
    assert isinstance(failed, AttuneError)
    assert str(failed).startswith(f"can't listen at 127.0.0.1:{port}: ")
    assert "\n" not in str(failed)


def test_a_remote_cluster_that_does_not_answer_is_not_started_here() -> None:
    failed = run("--port", "0", ATTUNE_OPENSEARCH_URL="https://127.0.0.1:9")
    assert isinstance(failed, ClusterDown)
    assert "https://127.0.0.1:9" in str(failed)

"""Search by picture on OpenSearch: alike pictures, near texts, words beside a picture, conditions, pages."""

import base64
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from indexer.catalogue.guessing import guess_field_map
from indexer.pictures.encoding import CataloguePictures
from indexer.pictures.sources import FolderPictures
from indexer.rebuild.job import rebuild_index
from indexer.rebuild.product_source import CatalogueSource
from indexer.sources.files import open_catalogue
from indexer.store.retry import RetryPolicy
from indexer.store.session import IndexSession, OneEncoder
from mappings.client import connect
from mappings.settings import IndexSettings, OpenSearchSettings, PictureSettings, Settings, SidecarSettings
from plugin_api.opensearch.http_client import HttpClient
from plugin_api.search.pictures.tower import open_picture_tower
from plugin_api.search.query.keyword_query import keyword_query
from plugin_api.sidecar.app import create_app
from reranker.pictures.encoder import load_picture_encoder
from tests.fakes.drawings import Shape, draw_picture
from tests.fakes.preview_shop import shipped_model
from tests.integration.stack import Stack

ALIAS = "pictured"
SHAPES: tuple[Shape, ...] = ("disc", "square", "triangle")
COLOURS = ("red", "green", "blue")
PATH = "/_attune/search/image"


@pytest.fixture(scope="module")
def web(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    """A shop of coloured shapes with pictures, and a balloon that has none."""
    folder = tmp_path_factory.mktemp("pictured")
    rows = ["id,title,brand,colour"]
    for shape in SHAPES:
        for colour in COLOURS:
            rows.append(f"{shape}-{colour},Wall sign {shape} {colour},{colour} works,{colour}")
            (folder / f"{shape}-{colour}.png").write_bytes(draw_picture(shape, colour))
    rows.append("balloon,Round balloon,air,white")
    catalogue = folder / "signs.csv"
    catalogue.write_text("\n".join(rows) + "\n")
    where = OpenSearchSettings(url=stack.direct, timeout_seconds=120)
    pictures = PictureSettings(search=True)
    settings = Settings(opensearch=where, sidecar=SidecarSettings(deadline_ms=60_000), pictures=pictures)
    client, model = connect(where), shipped_model()
    source = open_catalogue(catalogue)
    session = IndexSession(client, ALIAS, OneEncoder(model), IndexSettings(), RetryPolicy(60))
    read = CataloguePictures(FolderPictures(folder), load_picture_encoder(), pictures, "byte")
    rebuild_index(
        replace(session, pictures=read),
        CatalogueSource(source, guess_field_map(source)),
        Path(folder / "rejects.jsonl"),
    )
    tower = open_picture_tower(pictures, [model])
    try:
        yield create_app(settings, HttpClient(where), model, pictures=tower).test_client()
    finally:
        client.indices.delete(index=f"{ALIAS}-*")
        client.close()


def ask(web: FlaskClient, drawing: bytes, **request: Any) -> dict[str, Any]:
    body = {"image": base64.b64encode(drawing).decode(), "index": ALIAS, **request}
    answer = web.post(PATH, json=body)
    assert answer.status_code == 200, answer.data
    found: dict[str, Any] = answer.json or {}
    assert found["ext"]["attune"]["rerank_status"] == "reranked"
    return found


def ids(found: dict[str, Any]) -> list[str]:
    return [hit["_id"] for hit in found["hits"]["hits"]]


def test_alike_pictures_come_first(web: FlaskClient) -> None:
    found = ask(web, draw_picture("triangle", "green", (200, 150), "JPEG"))
    assert ids(found)[0] == "triangle-green"
    assert {id_.split("-")[0] for id_ in ids(found)[:3]} == {"triangle"}
    parts = found["ext"]["attune"]["picture"]
    assert parts["triangle-green"]["picture"] > parts["disc-red"]["picture"]
    assert parts["balloon"]["picture"] == 0
    assert found["hits"]["total"]["value"] == 10


def test_a_form_and_a_search_find_the_same(web: FlaskClient) -> None:
    drawing = draw_picture("square", "blue")
    expected = ids(ask(web, drawing))
    form = {"image": (io.BytesIO(drawing), "x.png"), "index": ALIAS}
    sent = web.post(PATH, data=form, content_type="multipart/form-data")
    options = {"image": base64.b64encode(drawing).decode()}
    searched = web.post(f"/{ALIAS}/_search", json={"ext": {"attune": options}})
    assert ids(sent.json or {}) == ids(searched.json or {}) == expected


def test_words_beside_the_picture_decide_as_well(web: FlaskClient) -> None:
    found = ask(web, draw_picture("disc", "red"), text="wall sign in green")
    assert ids(found)[0] == "disc-green"


def test_conditions_hold_and_facets_agree(web: FlaskClient) -> None:
    search = {
        "query": {"term": {"brand.keyword": "blue works"}},
        "aggs": {"brands": {"terms": {"field": "brand.keyword"}}},
    }
    found = ask(web, draw_picture("disc", "red"), search=search)
    assert sorted(ids(found)) == ["disc-blue", "square-blue", "triangle-blue"]
    assert ids(found)[0] == "disc-blue"
    assert found["hits"]["total"]["value"] == 3
    assert found["aggregations"]["brands"]["buckets"] == [{"key": "blue works", "doc_count": 3}]
    narrowed = ask(web, draw_picture(), search={"post_filter": {"term": {"brand.keyword": "air"}}})
    assert ids(narrowed) == ["balloon"]


def test_pages_follow_each_other(web: FlaskClient) -> None:
    drawing = draw_picture("disc", "blue")
    whole = ids(ask(web, drawing, search={"size": 10}))
    pages = [ids(ask(web, drawing, search={"from": start, "size": 4})) for start in (0, 4, 8)]
    assert [id_ for page in pages for id_ in page] == whole
    assert len(whole) == 10


def test_hits_are_collapsed_by_their_best(web: FlaskClient) -> None:
    search = {"collapse": {"field": "brand.keyword"}, "size": 10}
    found = ask(web, draw_picture("triangle", "red"), search=search)
    assert len(ids(found)) == 4
    assert ids(found)[0] == "triangle-red"


@pytest.mark.parametrize("text", ["", "wall sign in green"])
@pytest.mark.parametrize("place", [0, 4])
def test_the_explanation_is_of_the_score_that_the_search_shows(
    web: FlaskClient, text: str, place: int
) -> None:
    drawing = draw_picture("triangle", "green", (200, 150), "JPEG")
    found = ask(web, drawing, text=text)
    hit = found["hits"]["hits"][place]
    body = {
        "index": ALIAS,
        "id": hit["_id"],
        "query": text,
        "search": keyword_query(text) if text else {"match_all": {}},
        "options": {"image": base64.b64encode(drawing).decode()},
    }
    answer = web.post("/_attune/explain", json=body)
    assert answer.status_code == 200, answer.data
    explained: dict[str, Any] = answer.json or {}
    assert explained["as_ranked"]
    assert explained["score"] == pytest.approx(hit["_score"], abs=2e-3)
    parts = {part["name"]: part["log_odds"] for part in explained["picture"]}
    assert parts == pytest.approx(found["ext"]["attune"]["picture"][hit["_id"]], abs=2e-3)
    assert explained["picture_log_odds"] == pytest.approx(sum(parts.values()))
    assert bool(explained["words"]) == bool(text)


def test_a_product_without_a_picture_is_explained_by_its_text_alone(web: FlaskClient) -> None:
    options = {"image": base64.b64encode(draw_picture()).decode()}
    body = {"index": ALIAS, "id": "balloon", "query": "", "options": options}
    explained: dict[str, Any] = web.post("/_attune/explain", json=body).json or {}
    assert [part["name"] for part in explained["picture"]] == ["picture_words"]


def test_vectors_of_pictures_stay_out_of_answers(web: FlaskClient) -> None:
    assert "attune" not in json.dumps([hit["_source"] for hit in ask(web, draw_picture())["hits"]["hits"]])

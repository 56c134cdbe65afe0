"""Cohere's and OpenAI's own Python clients at a served sidecar with the shipped model."""

import asyncio
import base64
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cohere
import httpx
import numpy as np
import openai
import pytest

from mappings.settings import OpenSearchSettings, Settings, SidecarSettings
from plugin_api.commands.demo.sidecar_process import choose_free_port, start_sidecar
from plugin_api.sidecar.app import create_app
from reranker.model import Model, load_model
from tests.fakes.preview_shop import served
from tests.fakes.shop import Shop
from tests.fakes.slow_model import slow_model

KEY = "open-sesame"
NOBODY = OpenSearchSettings(url="http://127.0.0.1:9")
"""No OpenSearch: these routes ask it nothing."""

DOCUMENTS = ["USB-C charging cable, 2 m", "Logitech M185 wireless mouse, grey", "Cordless floor lamp"]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    sidecar = SidecarSettings(port=0, api_keys=f"other,{KEY}", max_documents=100)
    settings = choose_free_port(replace(Settings(), sidecar=sidecar, opensearch=NOBODY))
    with start_sidecar(settings, os.environ) as served:
        yield served.url


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(None)


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=60) as client:
        yield client


@pytest.fixture
def v1(url: str, http: httpx.Client) -> cohere.Client:
    return cohere.Client(KEY, base_url=url, httpx_client=http)


@pytest.fixture
def v2(url: str, http: httpx.Client) -> cohere.ClientV2:
    return cohere.ClientV2(KEY, base_url=url, httpx_client=http)


@pytest.fixture
def ai(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key=KEY, base_url=f"{url}/v1", max_retries=0) as client:
        yield client


# Cohere's


def test_cohere_v1_reranks(v1: cohere.Client, model: Model) -> None:
    found = v1.rerank(query="wireless mouse", documents=DOCUMENTS, top_n=2, return_documents=True)
    assert [result.index for result in found.results][:1] == [1]
    assert len(found.results) == 2
    assert found.results[0].relevance_score > found.results[1].relevance_score
    assert found.results[0].document
    assert found.results[0].document.text == DOCUMENTS[1]
    assert found.meta
    assert found.meta.api_version
    assert found.meta.api_version.version == "1"


def test_cohere_v1_reranks_objects_by_fields_it_names(v1: cohere.Client) -> None:
    documents = [{"name": "Floor lamp", "maker": "Philips"}, {"name": "Wireless mouse", "maker": "Logitech"}]
    found = v1.rerank(query="wireless mouse", documents=documents, rank_fields=["name", "maker"])
    assert found.results[0].index == 1


def test_cohere_v2_reranks(v2: cohere.ClientV2) -> None:
    found = v2.rerank(
        model="rerank-v3.5", query="wireless mouse", documents=DOCUMENTS, max_tokens_per_doc=4096
    )
    assert found.results[0].index == 1
    assert sorted(result.index for result in found.results) == [0, 1, 2]
    assert all(0 <= result.relevance_score <= 1 for result in found.results)
    assert found.id


def test_cohere_asynchronously(url: str) -> None:
    async def best() -> list[int]:
        async with httpx.AsyncClient(timeout=60) as http:
            client = cohere.AsyncClientV2(KEY, base_url=url, httpx_client=http)
            asked = [
                client.rerank(model="any", query="wireless mouse", documents=DOCUMENTS) for _ in range(8)
            ]
            return [found.results[0].index for found in await asyncio.gather(*asked)]

    assert asyncio.run(best()) == [1] * 8


def test_cohere_raises_its_own_errors(url: str, http: httpx.Client) -> None:
    client = cohere.ClientV2(KEY, base_url=url, httpx_client=http)
    call = {"query": "mouse", "documents": DOCUMENTS}
    with pytest.raises(cohere.errors.BadRequestError, match="101 documents are too many"):
        client.rerank(model="any", query="mouse", documents=["a"] * 101)
    with pytest.raises(cohere.errors.BadRequestError, match="query: "):
        client.rerank(model="any", query="", documents=DOCUMENTS)
    with pytest.raises(cohere.errors.NotFoundError, match="attune-000000000000 is not served here"):
        client.rerank(model="attune-000000000000", **call)
    stranger = cohere.ClientV2("guess", base_url=url, httpx_client=http)
    with pytest.raises(cohere.errors.UnauthorizedError, match="needs an API key"):
        stranger.rerank(model="any", **call)
    with pytest.raises(cohere.errors.UnauthorizedError):
        cohere.Client("guess", base_url=url, httpx_client=http).rerank(**call)


def test_a_busy_model_is_each_clients_own_error_for_that(model: Model, http: httpx.Client) -> None:
    slow = slow_model(model)
    app = create_app(Settings(sidecar=SidecarSettings(threads=2)), Shop(), slow)
    with served(app) as url, ThreadPoolExecutor(1) as pool:
        first = pool.submit(
            openai.OpenAI(api_key=KEY, base_url=f"{url}/v1").embeddings.create, model="any", input="mouse"
        )
        assert slow.asked.wait(60)
        try:
            with (
                openai.OpenAI(api_key=KEY, base_url=f"{url}/v1", max_retries=0) as ai,
                pytest.raises(openai.RateLimitError, match="all 1 places at the model are taken"),
            ):
                ai.embeddings.create(model="any", input="mouse")
            client = cohere.ClientV2(KEY, base_url=url, httpx_client=http, max_retries=0)
            with pytest.raises(cohere.errors.TooManyRequestsError, match="all 1 places"):
                client.rerank(model="any", query="mouse", documents=DOCUMENTS)
        finally:
            slow.go.set()
        assert first.result(60).data


# OpenAI's


@pytest.mark.parametrize("form", ["float", "base64", None], ids=["float", "base64", "the client's default"])
def test_openai_embeds(ai: openai.OpenAI, model: Model, form: str | None) -> None:
    wanted = {"encoding_format": form} if form else {}
    found = ai.embeddings.create(model="any", input=DOCUMENTS, **wanted)  # type: ignore[arg-type]
    assert [data.index for data in found.data] == [0, 1, 2]
    vectors = np.array([_vector(data.embedding) for data in found.data])
    expected = np.stack([model.encode_query(text).vector for text in DOCUMENTS])
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    assert found.usage.total_tokens > 0
    assert found.model == f"attune-{model.version}"


def test_openai_embeds_products_beside_queries(ai: openai.OpenAI) -> None:
    query = ai.embeddings.create(model="any", input="wireless mouse").data[0].embedding
    as_products = {"input_type": "document"}
    products = ai.embeddings.create(model="any", input=DOCUMENTS, extra_body=as_products).data
    assert np.argmax(np.array([data.embedding for data in products]) @ np.array(query)) == 1


def test_openai_asynchronously(url: str) -> None:
    async def lengths() -> list[float]:
        async with openai.AsyncOpenAI(api_key=KEY, base_url=f"{url}/v1", max_retries=0) as client:
            asked = [client.embeddings.create(model="any", input=text) for text in DOCUMENTS]
            found = await asyncio.gather(*asked)
            return [float(np.linalg.norm(one.data[0].embedding)) for one in found]

    assert asyncio.run(lengths()) == pytest.approx([1.0] * 3, abs=1e-5)


def test_openai_raises_its_own_errors(url: str, ai: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="have 384 dimensions, not 256") as refused:
        ai.embeddings.create(model="any", input="mouse", dimensions=256)
    assert (refused.value.param, refused.value.type) == ("dimensions", "invalid_request_error")
    with pytest.raises(openai.BadRequestError, match="send text, not tokens"):
        ai.embeddings.create(model="any", input=[[1, 2, 3]])
    with pytest.raises(openai.NotFoundError, match="is not served here") as missing:
        ai.embeddings.create(model="attune-000000000000", input="mouse")
    assert missing.value.code == "model_not_found"
    with (
        openai.OpenAI(api_key="guess", base_url=f"{url}/v1", max_retries=0) as stranger,
        pytest.raises(openai.AuthenticationError, match="needs an API key") as unknown,
    ):
        stranger.embeddings.create(model="any", input="mouse")
    assert unknown.value.code == "invalid_api_key"


def _vector(embedding: list[float] | str) -> np.ndarray:
    """A vector that the client hands on as it came, or has read itself."""
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding), "<f4")
    return np.array(embedding)

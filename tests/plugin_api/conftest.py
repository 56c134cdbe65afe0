from collections.abc import Iterator

import pytest
from opensearchpy import OpenSearch

from tests.fakes.shop import Shop, shop_client


@pytest.fixture
def shop_and_client() -> Iterator[tuple[Shop, OpenSearch]]:
    client, shop = shop_client()
    yield shop, client
    client.close()


@pytest.fixture
def shop(shop_and_client: tuple[Shop, OpenSearch]) -> Shop:
    return shop_and_client[0]


@pytest.fixture
def client(shop_and_client: tuple[Shop, OpenSearch]) -> OpenSearch:
    return shop_and_client[1]

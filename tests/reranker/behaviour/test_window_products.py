import pytest

from mappings.types import Product
from reranker.behaviour.personal_search import WindowProduct
from reranker.behaviour.window_products import StoredHit, read_window
from reranker.model import Model, load_model

PRODUCTS = (
    Product("a", title="Wireless gaming mouse", brand="Logitech", category="Mice"),
    Product("b", title="Wired office mouse", brand="Logitech", category="Mice"),
    Product("c", title="Laser printer TN-2110", brand="Brother", category="Printers"),
    Product("d", title="Mouse pad"),
)


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model()


def _window(model: Model, query: str, numbers: tuple[int, ...] = (0, 0, 0, 0)) -> list[WindowProduct]:
    stored = [product.stored for product in model.encode_products(PRODUCTS)]
    hits = [StoredHit(p.id, form, rank) for p, form, rank in zip(PRODUCTS, stored, numbers, strict=True)]
    return read_window(hits, model.encode_query(query).words)


def test_hits_that_hold_all_words_are_in_a_higher_tier(model: Model) -> None:
    assert [hit.tier for hit in _window(model, "wireless mouse")] == [1, 0, 0, 0]
    assert [hit.tier for hit in _window(model, "mouse")] == [1, 1, 0, 1]


def test_a_model_number_counts_for_more_than_all_words(model: Model) -> None:
    tiers = [hit.tier for hit in _window(model, "mouse", (0, 0, 1, 0))]
    assert max(tiers) == tiers[2]


def test_makers_and_types_are_equal_where_their_words_are(model: Model) -> None:
    first, second, other, without = _window(model, "mouse")
    assert first.maker == second.maker != other.maker
    assert first.type == second.type != other.type
    assert (without.maker, without.type) == ("", "")

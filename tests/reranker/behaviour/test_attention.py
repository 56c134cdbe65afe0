import pytest

from mappings.types import Product
from reranker.behaviour.attention import USER_FEATURES, HistoryText, build_user_features, encode_history
from reranker.encoders.codec import unpack_products
from reranker.model import Model, load_model
from reranker.types import Floats

PRODUCTS = ("Gaming mouse, wireless", "Laser printer toner black", "Espresso coffee beans")


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model()


def _features(model: Model, texts: list[tuple[str, str, float]]) -> Floats:
    history = encode_history([HistoryText(model.encode_query(t), action, age) for t, action, age in texts])
    assert history is not None
    stored = [e.stored for e in model.encode_products([Product(t, title=t) for t in PRODUCTS])]
    batch = unpack_products(stored, model.dimension, model.config.token_width)
    return build_user_features(history, batch, model.scorer.temperature)


def test_products_like_the_history_have_higher_features(model: Model) -> None:
    features = _features(model, [("coffee", "search", 0.1), ("Ground coffee arabica 1 kg", "click", 0.1)])
    for at in range(len(USER_FEATURES)):
        assert features[:, at].argmax() == 2


def test_what_was_bought_lately_weighs_more_than_what_was_searched_for_long_ago(model: Model) -> None:
    texts = [("coffee", "search", 20.0), ("Toner cartridge for printers", "purchase", 1.0)]
    features = _features(model, texts)
    assert features[:, 0].argmax() == 1


def test_the_interaction_is_the_searchs_own(model: Model) -> None:
    """A history of one query is that query: its features are those of a search."""
    features = _features(model, [("coffee beans", "search", 0.0)])
    query = model.encode_query("coffee beans")
    stored = [e.stored for e in model.encode_products([Product(t, title=t) for t in PRODUCTS])]
    batch = unpack_products(stored, model.dimension, model.config.token_width)
    assert features[:, 0] == pytest.approx(batch.vectors @ query.vector, abs=1e-5)
    assert features.shape == (3, len(USER_FEATURES) + query.tokens.shape[1])


def test_a_history_without_weight_is_none(model: Model) -> None:
    assert encode_history([]) is None
    assert encode_history([HistoryText(model.encode_query("tea"), "impression", 0.0)]) is None

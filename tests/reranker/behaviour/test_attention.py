import numpy as np
import pytest

from mappings.types import Product
from reranker.behaviour.attention import (
    USER_FEATURES,
    HistoryItem,
    WindowAction,
    attend_window,
    build_user_features,
    encode_history,
    encode_recent_texts,
    list_recent_actions,
)
from reranker.behaviour.counts import Profile, add_purchases, add_texts, add_views
from reranker.encoders.codec import pack_product, unpack_products
from reranker.model import Model, load_model
from reranker.text.word_tokens import hash_words
from reranker.types import Floats

PRODUCTS = ("Gaming mouse, wireless", "Laser printer toner black", "Espresso coffee beans")


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model()


def _item(model: Model, text: str, action: str, age_days: float) -> HistoryItem:
    query = model.encode_query(text)
    return HistoryItem(query.vector, query.tokens, action, age_days)


def _features(model: Model, texts: list[tuple[str, str, float]]) -> Floats:
    history = encode_history([_item(model, *text) for text in texts])
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
    assert encode_history([_item(model, "tea", "impression", 0.0)]) is None


WINDOW = (*PRODUCTS, "Wireless mouse for gamers", "Coffee beans, dark roast")


def _stored(model: Model) -> list[bytes]:
    return [e.stored for e in model.encode_products([Product(t, title=t) for t in WINDOW])]


def test_a_window_attends_to_what_is_like_a_product_viewed_just_now(model: Model) -> None:
    attention = attend_window([WindowAction(2, "click", 0.0)], _stored(model))
    assert attention.argsort()[::-1][:2].tolist() == [2, 4]
    assert attention[1] < 0 < attention[4]


def test_an_old_action_says_less_than_a_new_one_and_a_click_less_than_a_purchase(model: Model) -> None:
    stored = _stored(model)
    bought, old, viewed = (
        abs(attend_window([WindowAction(0, *done)], stored)).max()
        for done in (("purchase", 0.0), ("purchase", 14.0), ("click", 0.0))
    )
    assert bought > viewed > old > 0


def test_a_window_without_an_action_attends_to_nothing(model: Model) -> None:
    assert not attend_window([], _stored(model)).any()


def test_products_of_another_model_are_not_attended_to(model: Model) -> None:
    vector, tokens = np.ones(8, np.float32), np.ones((2, 16), np.float32)
    other = pack_product(vector, tokens, [hash_words(())] * 4, 1)
    own = attend_window([WindowAction(2, "click", 0.0)], _stored(model))
    mixed = attend_window([WindowAction(2, "click", 0.0)], [*_stored(model), other])
    assert mixed[-1] == 0
    assert mixed[:-1] == pytest.approx(own)


def test_recent_actions_are_those_of_the_window_that_weigh_most() -> None:
    profile = add_views(add_purchases(Profile(), ["a", "old"], 60), ["a", "b", "elsewhere"], 99.5)
    profile = add_purchases(profile, ["b"], 99)
    actions = list_recent_actions(profile, ["a", "b", "old", "new"], 100.0)
    assert actions == [WindowAction(1, "purchase", 1.0), WindowAction(0, "click", 0.5)]


def _read(model: Model, query: str, **texts: float) -> list[HistoryItem]:
    profile = Profile()
    for text, day in sorted(texts.items(), key=lambda item: item[1]):
        profile = add_texts(profile, [text.replace("_", " ")], day)
    return encode_recent_texts(profile, model.encode_query(query), 100.0, model.encode_query)


def test_texts_of_other_things_than_the_query_do_not_bear(model: Model) -> None:
    assert not _read(model, "wireless mouse", espresso_coffee_beans=99.9, laser_printer_toner=99.5)
    assert len(_read(model, "wireless mouse", gaming_mouse=99.9, wireless_mouse=99.95)) == 1
    assert not _read(model, "wireless mouse", gaming_mouse=70.0)


def test_products_like_what_was_searched_for_before_are_attended_to(model: Model) -> None:
    texts = _read(model, "mouse", gaming_mouse_for_gamers=99.9)
    attention = attend_window([], _stored(model), texts)
    assert set(attention.argsort()[::-1][:2].tolist()) == {0, 3}
    assert attention[1] < 0

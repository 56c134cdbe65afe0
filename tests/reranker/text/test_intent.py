import pytest

from reranker.text.intent import strip_intent


@pytest.mark.parametrize(
    ("text", "product"),
    [
        ("购买新款手机", "手机"),
        ("我想买最新款的手机", "手机"),
        ("我想买一部手机", "手机"),
        ("手机推荐", "手机"),
        ("買新款手機", "手機"),
        ("我想購買華為手機", "華為手機"),
        ("哪里可以买华为 Mate 40 Pro？", "华为 Mate 40 Pro"),
        ("手机多少钱", "手机"),
        ("buy laptop", "laptop"),
        ("Buy a laptop", "laptop"),
        ("i want to buy a red dress", "red dress"),
        ("where to buy usb c cables", "usb c cables"),
        ("laptops for sale", "laptops"),
        ("laptop kaufen", "laptop"),
        ("comprar una camisa", "camisa"),
        ("je cherche une lampe", "lampe"),
        ("ノートパソコンを購入", "ノートパソコン"),
    ],
)
def test_intent_words_at_the_ends_are_left_out(text: str, product: str) -> None:
    assert strip_intent(text) == product


@pytest.mark.parametrize(
    "text",
    [
        "best buy gift card",
        "buyers guide",
        "购物袋",
        "买手店连衣裙",
        "sales tracker",
        "usb-c cable",
        "想象之中",
        "i-want-to book",
        "",
    ],
)
def test_words_of_a_name_stay(text: str) -> None:
    assert strip_intent(text) == text


@pytest.mark.parametrize("text", ["buy", "购买", "我想买", "  ", "looking for", "推荐", "新款"])
def test_a_query_of_nothing_else_stays_as_it_is(text: str) -> None:
    assert strip_intent(text) == text

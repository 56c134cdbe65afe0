import pytest

from reranker.text.query_type import classify_query, find_model_numbers, is_identifier
from reranker.types import QueryType

EXAMPLES = {
    QueryType.MODEL: (
        "brother tn-2110 toner",
        "TN 2110",
        "WH1000XM4",
        "lego 75192",
        "which case fits a galaxy s20",
        "iPhone13",
        "e14 bulb",
        "ｗｈ１０００ｘｍ４",
        "华为P40手机",
    ),
    QueryType.SENTENCE: (
        "quiet fan for a small bedroom",
        "shoes for running",
        "which printer is cheap?",
        "laptop?",
        "red leather sofa with chaise longue",
        "什么手机好",
        "适合老人使用的大屏幕手机壳",
        "軽いノートパソコンはどれですか",
    ),
    QueryType.HEAD: (
        "laptop",
        "the boys",
        "windows 10",
        "128gb stick",
        "1080p tv",
        "8x10 rug",
        "5'x7' rug",
        "24-70mm lens",
        "100% cotton",
        "手机",
        "ワイヤレス マウス",
        "",
    ),
    QueryType.PHRASE: (
        "noise cancelling headphones",
        "micro sd card",
        "500 piece puzzle",
        "48 inch tv stand",
        "购买新款手机",
        "华为 Mate 40 Pro",
    ),
}


@pytest.mark.parametrize(
    ("kind", "text"), [(kind, text) for kind, texts in EXAMPLES.items() for text in texts]
)
def test_type_of(kind: QueryType, text: str) -> None:
    assert classify_query(text) is kind


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("sony WH-1000XM4", ["wh-1000xm4"]),
        ("hp 950 951 ink", ["950", "951"]),
        ("lego 75192", ["75192"]),
        ("toner 8492 8492", ["8492"]),
        ("ｗｈ１０００ｘｍ４", ["wh1000xm4"]),
        ("华为P40手机", ["p40"]),
    ],
)
def test_model_numbers_are_told_in_one_spelling(text: str, numbers: list[str]) -> None:
    assert list(find_model_numbers(text)) == numbers


@pytest.mark.parametrize(
    "text",
    [
        "noise cancelling headphones", "windows 10", "500 gb ssd", "500gb ssd", "1080p tv", "5000 mah", "",
        "laptop under 500", "laptop unter 500", "between 100 and 200", "$500 phone", "phone 500$",
        "¥3000 手机", "phone 500 €", "phone 300 euros", "500 piece puzzle",
    ],
)  # fmt: skip
def test_measures_versions_and_prices_are_no_model_numbers(text: str) -> None:
    assert find_model_numbers(text) == ()


def test_a_model_number_beside_a_price_stays_one() -> None:
    assert find_model_numbers("rtx3080 under 500") == ("rtx3080",)
    assert find_model_numbers("under rtx3080") == ("rtx3080",)


@pytest.mark.parametrize(
    "text",
    [
        "4006381333931", "978-3-16-148410-0", "8492", "0 12345 67890 5", "LT-017-8492", "sku12345", "rtx3080",
        "WH-1000XM4", " 75192 ", "BX8071512400F CM8071504650609",
    ],
)  # fmt: skip
def test_a_number_alone_is_an_identifier(text: str) -> None:
    assert is_identifier(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "-", "laptop", "ps4", "13", "2.5", "lego 75192", "wh-1000xm4 case", "1080p", "10000mah",
        "1920x1080", "24-70mm", "100% cotton", "手机",
    ],
)  # fmt: skip
def test_words_versions_and_measures_are_no_identifiers(text: str) -> None:
    assert not is_identifier(text)

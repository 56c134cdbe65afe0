import pytest

from reranker.text.query_type import classify_query
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

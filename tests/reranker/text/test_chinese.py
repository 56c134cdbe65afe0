import pytest

from reranker.text.brands import find_other_spellings
from reranker.text.chinese import is_chinese, simplify_characters
from reranker.text.han_words import HanWords
from reranker.text.word_tokens import split_words


def test_traditional_becomes_simplified_character_by_character() -> None:
    assert simplify_characters("蘋果手機 iPhone 13 無線滑鼠") == "苹果手机 iPhone 13 无线滑鼠"
    assert simplify_characters("plain") == "plain"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("手机", True),
        ("iPhone 手机", True),
        ("iPhone", False),
        ("ワイヤレス 無線", False),
        ("무선 無線", False),
        ("", False),
    ],
)
def test_chinese_has_han_characters_alone(text: str, expected: bool) -> None:
    assert is_chinese(text) is expected


def test_words_are_the_same_in_both_scripts() -> None:
    assert split_words("藍牙耳機") == split_words("蓝牙耳机")


@pytest.mark.parametrize(
    ("brand", "title", "expected"),
    [
        ("苹果", "iPhone 13 手机", ("Apple",)),
        ("Apple", "手机", ("苹果",)),
        ("", "華為 Mate 40 手机", ("Huawei",)),
        ("华为/Huawei", "手机", ()),
        ("", "新鲜红富士苹果 5斤", ()),
        ("", "黄小米 5斤", ()),
        ("无名", "手机壳", ()),
    ],
)
def test_brands_have_their_name_in_the_other_script(
    brand: str, title: str, expected: tuple[str, ...]
) -> None:
    assert find_other_spellings(brand, title) == expected


def test_chinese_is_split_by_what_recurs() -> None:
    titles = [
        "华为手机壳",
        "小米手机壳",
        "苹果手机壳",
        "三星手机壳",
        "苹果充电器",
        "华为充电器",
        "小米充电器",
        "三星充电器",
    ]
    words = HanWords(titles)
    assert words.split("魅族手机壳") == ["魅", "族", "手机壳"]
    assert words.split("充电器手机壳") == ["充电器", "手机壳"]
    assert words.split("") == []

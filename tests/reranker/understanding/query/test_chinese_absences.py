import pytest

from mappings.types import Product
from reranker.understanding.demands import PresenceDemand
from reranker.understanding.facts import pack_facts, unpack_facts
from reranker.understanding.learning import learn_vocabulary
from reranker.understanding.matching import CONTRADICTION, MATCH, match_demand
from reranker.understanding.query import understand
from reranker.understanding.query.chinese_absences import find_chinese_absences
from reranker.understanding.vocabulary import CatalogueVocabulary

TITLES = ("可乐 330毫升", "无糖可乐 330毫升", "酸奶 原味", "无糖酸奶", "啤酒 500毫升", "无醇啤酒", "有线鼠标")


@pytest.fixture(scope="module")
def vocabulary() -> CatalogueVocabulary:
    brands = ("元气", "农夫", "统一", "达利", "苹果")
    attributes = {"是否含糖": "是"}
    return learn_vocabulary(
        Product(f"{brand}{number}", f"{brand} {title}", brand, attributes=attributes)
        for brand in brands
        for number, title in enumerate(TITLES)
    )


@pytest.mark.parametrize(
    ("query", "excluded", "core"),
    [
        ("无糖可乐", "无糖", "可乐"),
        ("無糖可樂", "无糖", "可乐"),
        ("可乐 0糖", "零糖", "可乐"),
        ("不含糖的可乐", "不含糖的", "可乐"),
        ("不含酒精啤酒", "不含酒精", "啤酒"),
        ("不含酒精的漱口水", "不含酒精的", "漱口水"),
        ("免洗洗手液", "免洗", "洗手液"),
        ("非油炸方便面", "非油炸", "方便面"),
        ("不带线的鼠标", "不带线的", "鼠标"),
        ("不要带蓝牙的音箱", "不要带蓝牙的", "音箱"),
        ("手机 不要苹果", "不要苹果", "手机"),
    ],
)
def test_what_chinese_excludes(vocabulary: CatalogueVocabulary, query: str, excluded: str, core: str) -> None:
    understanding = understand(query, vocabulary)
    [absence] = [d for d in understanding.demands if isinstance(d, PresenceDemand)]
    assert absence.kind == "absence"
    assert understanding.text[absence.span.start : absence.span.end] == excluded
    assert understanding.core == core


@pytest.mark.parametrize(
    "query", ["无线鼠标", "无人机", "非常好用的耳机", "免费送货的手机", "零食大礼包", "10糖", "手机"]
)
def test_other_words_with_such_characters_exclude_nothing(
    vocabulary: CatalogueVocabulary, query: str
) -> None:
    assert not any(isinstance(d, PresenceDemand) for d in understand(query, vocabulary).demands)


@pytest.mark.parametrize(
    ("product", "outcome"),
    [
        (Product("1", "元气 无糖可乐"), MATCH),
        (Product("2", "元气 0糖0脂 可乐"), MATCH),
        (Product("3", "不含糖 可乐"), MATCH),
        (Product("4", "可乐", attributes={"是否含糖": "否"}), MATCH),
        (Product("5", "可乐 含糖"), CONTRADICTION),
        (Product("6", "可乐", attributes={"是否含糖": "是"}), CONTRADICTION),
    ],
)
def test_titles_and_attributes_tell_what_is_absent(
    vocabulary: CatalogueVocabulary, product: Product, outcome: int
) -> None:
    [absence] = find_chinese_absences("无糖可乐", vocabulary)
    result = match_demand(absence, unpack_facts([pack_facts(product)]), [None])
    assert result[0].tolist() == [float(place == outcome) for place in range(3)]

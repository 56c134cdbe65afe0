from collections.abc import Sequence

import numpy as np
import pytest

from mappings.types import Product
from reranker.types import Floats
from reranker.understanding.facts import list_models, pack_facts
from reranker.understanding.interpreter import QueryInterpreter
from reranker.understanding.learning import learn_vocabulary
from reranker.understanding.vocabulary import CatalogueVocabulary


def encode_by_words(text: str) -> Floats:
    """Return a vector in which two texts are as near as they share words."""
    vector = np.zeros(512, dtype=np.float32)
    for word in text.casefold().split():
        vector[sum(map(ord, word)) % 512] += 1
    return vector / max(float(np.linalg.norm(vector)), 1e-6)


@pytest.fixture(scope="module")
def interpreter(vocabulary: CatalogueVocabulary) -> QueryInterpreter:
    return QueryInterpreter(vocabulary, encode_by_words).load()


def rank(interpreter: QueryInterpreter, products: Sequence[Product], query: str) -> list[Product]:
    """Return products that were equally probable, in the light of the query's demands."""
    facts = [pack_facts(product) for product in products]
    prices = [product.price for product in products]
    scores = interpreter.adjust(interpreter.understand(query), facts, prices, [0.5] * len(products)).scores
    return [products[i] for i in np.argsort(-np.array(scores), kind="stable")]


@pytest.mark.parametrize(
    ("query", "name", "value", "possible"),
    [
        ("27 inch monitor", "display diagonal", 27.0, 5),
        ("monitor 68.6 cm", "display diagonal", 27.0, 5),
        ("2m hdmi cable", "cable length", 2.0, 5),
        ("hdmi cable 6 ft", "cable length", 1.8, 5),
        ("notebook 16gb ram", "internal memory", 16.0, 5),
        ("white mouse", "product colour", "White", 7),
        ("weiße maus", "product colour", "White", 7),
        ("notebook i7", "processor family", "Corex i7", 7),
        ("mouse without cable", "connectivity technology", "Wireless", 10),
        ("notebook without touchscreen", "touchscreen", False, 10),
    ],
)
def test_what_meets_a_demand_comes_first(
    interpreter: QueryInterpreter,
    small_catalogue: list[Product],
    query: str,
    name: str,
    value: object,
    possible: int,
) -> None:
    first = rank(interpreter, small_catalogue, query)[:possible]
    assert [product.attributes.get(name) for product in first] == [value] * possible


def test_prices_limit(interpreter: QueryInterpreter, small_catalogue: list[Product]) -> None:
    first = rank(interpreter, small_catalogue, "mouse under 15")[:5]
    assert all(product.id.startswith("mouse") and (product.price or 0) <= 15 for product in first)


def test_the_thing_comes_before_its_accessories(
    interpreter: QueryInterpreter, small_catalogue: list[Product]
) -> None:
    order = [product.id.partition("-")[0] for product in rank(interpreter, small_catalogue, "notebook")]
    assert order[:20] == ["notebook"] * 20
    order = [product.id.partition("-")[0] for product in rank(interpreter, small_catalogue, "notebook case")]
    assert order[:20] == ["case"] * 20


@pytest.mark.parametrize("query", ["toner for hl-2130", "hl2130 toner", "toner compatible with HL 2130"])
def test_what_fits_comes_first(
    interpreter: QueryInterpreter, small_catalogue: list[Product], query: str
) -> None:
    assert rank(interpreter, small_catalogue, query)[0].id == "toner-3"


def test_hits_without_facts_keep_their_scores(interpreter: QueryInterpreter) -> None:
    understanding = interpreter.understand("27 inch monitor under 200")
    assert interpreter.adjust(understanding, [b"", b""], [None, None], [0.7, 0.2]).scores == pytest.approx(
        [0.7, 0.2]
    )


def test_a_catalogue_without_types_has_no_say_in_them(small_catalogue: list[Product]) -> None:
    interpreter = QueryInterpreter(learn_vocabulary(small_catalogue[:2]), encode_by_words)
    understanding = interpreter.understand("white monitor")
    assert interpreter.adjust(understanding, [pack_facts(small_catalogue[0])], [None], [0.5]).scores


def test_model_numbers_of_a_text() -> None:
    assert {"hl2140", "2140", "dcp7055"} <= set(list_models("Brother HL-2140, DCP 7055"))


def learn_interpreter(products: Sequence[Product]) -> QueryInterpreter:
    return QueryInterpreter(learn_vocabulary(products), encode_by_words)


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("bikini sin tirantes", "Bikini rojo sin tirantes"),
        ("gum without sugar", "Gum sugar-free"),
        ("top without sleeves", "Top no sleeves"),
    ],
)
def test_a_title_may_say_itself_what_a_product_is_without(query: str, first: str) -> None:
    thing = query.split()[0]
    excluded = query.split()[-1]
    products = [
        Product("a", f"{thing} {excluded}"),
        Product("b", first),
        Product("c", f"{thing} {excluded} x"),
    ]
    assert rank(learn_interpreter(products), products, query)[0].title == first


@pytest.mark.parametrize("query", ["paper 10x15", "paper 10 x 15 cm"])
def test_sizes_match_however_they_are_spaced(query: str) -> None:
    products = [
        Product("a", "Photo paper A4"),
        Product("b", "Photo paper", attributes={"media sizes": "A3, 10 x 15 cm, 13 x 18 cm"}),
        Product("c", "Photo paper", attributes={"media sizes": "A3, 10x30"}),
    ]
    assert rank(learn_interpreter(products), products, query)[0].id == "b"


def test_a_measure_that_misses_by_less_comes_first(
    interpreter: QueryInterpreter, small_catalogue: list[Product]
) -> None:
    screens = [product for product in small_catalogue if product.id in ("screen-1", "screen-2", "screen-4")]
    ranked = rank(interpreter, screens, "23 inch monitor")
    order = [product.attributes["display diagonal"] for product in ranked]
    assert order == [24.0, 22.0, 32.0]


def test_a_rare_name_of_a_type_leaves_room_for_the_common_one() -> None:
    def encode(text: str) -> Floats:
        alike = {"laptop bag": "notebook case", "laptop bags": "notebook case"}
        return (0.7 * encode_by_words(alike.get(text, text)) + 0.3 * encode_by_words(text)).astype(np.float32)

    products = [
        Product(f"{noun}-{i}", f"{brand} {noun} {i}", brand)
        for noun, count in (("notebook case", 30), ("laptop bag", 5), ("laptop", 10))
        for i in range(count)
        for brand in (("Acme", "Bolt", "Cobra")[i % 3],)
    ]
    interpreter = QueryInterpreter(learn_vocabulary(products), encode)
    order = [product.id.partition("-")[0] for product in rank(interpreter, products, "laptop bag")]
    assert order[:5] == ["laptop bag"] * 5
    assert order[-10:] == ["laptop"] * 10


def products_of(*titles: str) -> list[Product]:
    return [Product(str(number), title=title) for number, title in enumerate(titles)]


PHONES = (
    "Apple iPhone 13 128GB",
    "Huawei Mate 40 Pro with 66W charger",
    "iPhone 13 silicone case",
    "Phone charger 20W",
    "Mate 40 Pro leather cover",
)
CHINESE_PHONES = (
    "Apple iPhone 13 128GB 智能手机",
    "华为 Mate 40 Pro 5G 手机",
    "iPhone 13 手机壳 透明",
    "20W 手机充电器",
    "手机钢化膜",
)


@pytest.mark.parametrize(
    ("titles", "query", "first"),
    [
        (PHONES, "phone", {0, 1}),
        (PHONES, "buy a new phone", {0, 1}),
        (PHONES, "phone charger", {0, 1, 2, 3, 4}),
        (CHINESE_PHONES, "手机", {0, 1}),
        (CHINESE_PHONES, "购买新款手机", {0, 1}),
        (CHINESE_PHONES, "買新款手機", {0, 1}),
        (CHINESE_PHONES, "手机壳", {0, 1, 2, 3, 4}),
    ],
)
def test_a_thing_comes_before_what_belongs_to_it_where_no_types_are_known(
    titles: tuple[str, ...], query: str, first: set[int]
) -> None:
    products = products_of(*titles)
    small = QueryInterpreter(learn_vocabulary(products), encode_by_words)
    facts = [pack_facts(product) for product in products]
    scores = small.adjust(
        small.understand(query), facts, [None] * len(products), [0.5] * len(products)
    ).scores
    assert {i for i, score in enumerate(scores) if score == max(scores)} == first


@pytest.fixture(scope="module")
def clothes() -> QueryInterpreter:
    """A shop whose products have no attribute that says whom they are for, or how large they are."""
    titles = [f"{name} No {number}" for number in range(40) for name in ("Canvas Print", "Cotton Hoodie")]
    return QueryInterpreter(learn_vocabulary(Product(title, title) for title in titles), encode_by_words)


@pytest.mark.parametrize("query", ["large canvas print", "canvas print for women"])
def test_what_a_query_names_comes_before_what_only_meets_its_demand(
    clothes: QueryInterpreter, query: str
) -> None:
    titles = ["Canvas Print Sunset", "Cotton Hoodie Women Large"]
    facts = [pack_facts(Product(title, title)) for title in titles]
    understanding = clothes.understand(query)
    assert {demand.kind for demand in understanding.demands} & {"size", "gender"}
    scores = clothes.adjust(understanding, facts, [None, None], [0.8, 0.05]).scores
    assert scores[0] > scores[1]


def test_a_demand_chooses_among_what_a_query_names(clothes: QueryInterpreter) -> None:
    titles = ["Cotton Hoodie Grey", "Cotton Hoodie Women"]
    facts = [pack_facts(Product(title, title)) for title in titles]
    scores = clothes.adjust(clothes.understand("hoodie for women"), facts, [None, None], [0.8, 0.7]).scores
    assert scores[1] > scores[0]


def test_what_the_catalogue_calls_otherwise_gets_back_what_missing_words_cost() -> None:
    brands = ("Acer", "Asus", "Dell", "Lenovo")
    titles = [
        f"{brand} {name} {number}"
        for number in range(20)
        for brand in brands
        for name in ("Notebook", "Laptop Sleeve", "Optical Mouse")
    ]
    vocabulary = learn_vocabulary(Product(title, title, brand=title.split()[0]) for title in titles)
    shop = QueryInterpreter(vocabulary, lambda text: encode_by_words(text.replace("laptop", "notebook")))
    facts = [pack_facts(Product(title, title)) for title in ("Acer Notebook 1", "Acer Optical Mouse 1")]
    for query, is_returned in (("laptop", True), ("notebook", False), ("laptop sleeve", False)):
        understanding = shop.understand(query)
        assert [demand.kind for demand in understanding.demands] == ["type"]
        without = shop.adjust(understanding, facts, [None, None], [0.2, 0.2])
        adjusted = shop.adjust(understanding, facts, [None, None], [0.2, 0.2], [1.5, 1.5])
        back = adjusted.moved[:, 0] - without.moved[:, 0]
        assert back[0] == pytest.approx(1.5 if is_returned else 0.0, abs=0.1)
        assert back[1] <= back[0]

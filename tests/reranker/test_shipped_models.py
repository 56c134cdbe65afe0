"""The shipped models, as they come: which reads what, and what the Chinese one makes of queries."""

import json
from pathlib import Path

import numpy as np
import pytest

from mappings.errors import ModelError
from mappings.types import Product
from reranker.mixed_model import MixedModel, load_any_model, select_reader
from reranker.model import Model, load_model, locate_shipped_model
from reranker.shipped_models import (
    choose_shipped_model,
    list_shipped_models,
    locate_chinese_model,
    locate_mixed_model,
)
from reranker.understanding import QueryInterpreter, learn_vocabulary, pack_facts

DATA = Path(__file__).parents[2] / "plugin_api" / "commands" / "demo" / "data" / "chinese.jsonl"
MOUSE = Product("mouse", "Logitech M185 wireless mouse", "Logitech")
CABLE = Product("cable", "USB-C charging cable 2 m")
PHONE = Product("phone", "华为 Mate 40 Pro 128GB 秋日胡杨 5G手机", "华为")
DRESS = Product("dress", "法式碎花连衣裙 女 夏季新款")


@pytest.fixture(scope="module")
def chinese() -> Model:
    return load_model(locate_chinese_model(), threads=1)


@pytest.fixture(scope="module")
def mixed() -> MixedModel:
    model = load_any_model(locate_mixed_model(), threads=1)
    assert isinstance(model, MixedModel)
    return model


@pytest.fixture(scope="module")
def phones(chinese: Model) -> tuple[list[Product], list[bytes]]:
    rows = [json.loads(line) for line in DATA.read_text(encoding="utf-8").splitlines()]
    products = [
        Product(row["id"], row["title"], row["brand"], row["category"], row["description"])
        for row in rows
        if row["category"].startswith("手机数码")
    ]
    return products, [encoded.stored for encoded in chinese.encode_products(products)]


def rank(model: Model, query: str, products: list[Product], stored: list[bytes]) -> list[Product]:
    return [products[row] for row in np.argsort(-model.score(model.encode_query(query), stored))]


def test_the_titles_script_chooses_the_model() -> None:
    assert choose_shipped_model([]) == locate_shipped_model()
    assert choose_shipped_model([MOUSE, CABLE]) == locate_shipped_model()
    assert choose_shipped_model([PHONE, DRESS, Product("1", "12345")]) == locate_chinese_model()
    assert choose_shipped_model([PHONE, CABLE]) == locate_mixed_model()
    assert choose_shipped_model([MOUSE] * 99 + [PHONE]) == locate_shipped_model()
    assert choose_shipped_model([Product("1", "ワイヤレスマウス"), Product("2", "無線マウス 黒")]) == (
        locate_shipped_model()
    )


def test_the_chinese_model_is_small() -> None:
    assert sum(file.stat().st_size for file in locate_chinese_model().iterdir()) < 25_000_000


def test_every_shipped_model_has_a_version_of_its_own() -> None:
    assert len({load_any_model(folder).version for folder in list_shipped_models()}) == 3


ENGLISH = {
    "Apple iPhone 13 128GB": "Phones",
    "Huawei Mate 40 Pro 5G": "Phones",
    "iPhone 13 case": "Phone accessories",
    "USB-C phone charger": "Phone accessories",
    "Mouse": "Mice",
}
CHINESE = {
    "苹果 iPhone 13 128GB": "手机",
    "华为 Mate 40 Pro 5G": "手机",
    "iPhone 13 手机壳": "手机配件",
    "手机充电器 快充": "手机配件",
    "无线鼠标": "鼠标",
}


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ("购买新款手机", CHINESE),
        ("購買新款手機", CHINESE),
        ("buy a new phone", ENGLISH),
    ],
)
def test_phones_come_before_cases_and_chargers(query: str, titles: dict[str, str]) -> None:
    products = [Product(title, title, category=category) for title, category in titles.items()]
    model = load_model(choose_shipped_model(products), threads=1)
    interpreter = QueryInterpreter(learn_vocabulary(products), lambda text: model.encode_query(text).vector)
    probable = model.score_raw(
        model.encode_query(query), [each.stored for each in model.encode_products(products)]
    )
    scores = interpreter.adjust(
        interpreter.understand(query), [pack_facts(p) for p in products], [None] * 5, probable.tolist()
    ).scores
    assert set(np.argsort(scores)[-2:].tolist()) == {0, 1}


def test_a_new_phone_is_a_phone_and_no_case(
    chinese: Model, phones: tuple[list[Product], list[bytes]]
) -> None:
    first = rank(chinese, "购买新款手机", *phones)[:10]
    assert all("手机" in product.title for product in first)
    assert not any("壳" in product.title or "充电" in product.title for product in first)


@pytest.mark.parametrize("query", ["华为手机", "華為手機", "Huawei phone", "HUAWEI 手机"])
def test_a_brand_is_known_in_both_scripts(
    chinese: Model, phones: tuple[list[Product], list[bytes]], query: str
) -> None:
    assert {product.brand for product in rank(chinese, query, *phones)[:5]} == {"华为"}


def test_traditional_characters_read_as_simplified_ones(chinese: Model) -> None:
    traditional, simplified = map(chinese.encode_query, ("無線藍牙耳機", "无线蓝牙耳机"))
    assert np.array_equal(traditional.vector, simplified.vector)
    assert traditional.words == simplified.words
    assert traditional.unknown == 0


def test_the_mixed_model_reads_each_product_by_the_model_of_its_script(mixed: MixedModel) -> None:
    products = [PHONE, MOUSE, DRESS, CABLE]
    encoded = mixed.encode_products(products)
    assert {len(each.vector) for each in encoded} == {mixed.dimension}
    stored = [each.stored for each in encoded]
    assert [mixed.chinese.is_readable(each) for each in stored] == [True, False, True, False]
    assert all(map(mixed.is_readable, stored))
    assert not mixed.is_readable(b"others")
    assert select_reader(mixed, PHONE.title) is mixed.chinese
    assert select_reader(mixed, MOUSE.title) is mixed.other
    assert select_reader(mixed.other, PHONE.title) is mixed.other
    for query, wanted in (
        ("购买新款手机", PHONE),
        ("wireless mice", MOUSE),
        ("裙子", DRESS),
        ("usb cable", CABLE),
    ):
        read = mixed.encode_query(query)
        scores = mixed.score_raw(read, stored)
        assert products[int(scores.argmax())] is wanted
        assert products[int(np.argmax([read.vector @ each.vector for each in encoded]))] is wanted
        own = mixed.chinese if wanted in (PHONE, DRESS) else mixed.other
        row = products.index(wanted)
        assert scores[row] == pytest.approx(own.score_raw(own.encode_query(query), [stored[row]])[0])


def test_a_file_of_models_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "models.json").write_text('{"chinese": "."}')
    with pytest.raises(ModelError, match="does not name two models"):
        load_any_model(tmp_path)


def test_two_models_of_one_width_are_refused() -> None:
    model = load_model()
    with pytest.raises(ModelError, match="need different widths"):
        MixedModel(model, model)

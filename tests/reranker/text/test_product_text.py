from mappings.types import Product
from reranker.text.product_text import build_product_text, list_attribute_values


def test_fields_come_in_the_documented_order() -> None:
    product = Product("1", "Mouse M185", "Logitech", "Mice", "A small mouse", {"colour": "Grey"})
    text = build_product_text(product)
    assert text.pooled == "Mouse M185. Logitech. Mice. A small mouse"
    assert text.attended == "Grey"


def test_repeated_and_empty_fields_are_left_out() -> None:
    assert build_product_text(Product("1", "Mouse", description="Mouse")).pooled == "Mouse"


def test_only_short_attributes_in_words_are_read() -> None:
    attributes = {
        "weight": 12.5,
        "wireless": True,
        "size": "10 x 20",
        "colour": "Grey",
        "note": "x" * 41,
        "a": "aa",
        "b": "bb",
        "c": "cc",
        "d": "dd",
    }
    assert build_product_text(Product("1", "Mouse", attributes=attributes)).attended == "Grey, aa, bb, cc"


def test_what_the_encoder_does_not_read_does_not_change_its_text() -> None:
    before = build_product_text(Product("1", "Mouse", price=1.0, available=True, url="a"))
    assert before == build_product_text(Product("2", "Mouse", price=2.0, available=False, url="b"))
    assert before != build_product_text(Product("1", "Mouse", attributes={"colour": "Grey"}))


def test_attributes_read_the_same_from_the_catalogue_and_from_a_document() -> None:
    typed = Product("1", "Mouse", attributes={"weight": 12.0, "wireless": True, "dpi": 0.5, "colour": "Grey"})
    stored = Product(
        "1", "Mouse", attributes={"weight": "12", "wireless": "true", "dpi": "0.5", "colour": "Grey"}
    )
    assert list_attribute_values(typed) == list_attribute_values(stored) == ["12", "0.5", "Grey"]
    assert build_product_text(typed) == build_product_text(stored)

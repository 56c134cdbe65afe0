import pytest

from reranker.text.numbers import classify_number, is_measure, is_model_number, is_unit


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("tn2110", "model"),
        ("wh-1000xm4", "model"),
        ("128gb", "unit"),
        ("3.5mm", "unit"),
        ("10x20cm", "unit"),
        ("500mg", "unit"),
        ("3rd", "unit"),
        ("13", "number"),
        ("a4", "number"),
        ("mouse", ""),
    ],
)
def test_words_with_digits_are_told_apart(word: str, kind: str) -> None:
    assert classify_number(word) == kind
    assert is_model_number(word) == (kind == "model")
    assert is_measure(word) == (kind == "unit")


def test_units_are_words_of_their_own() -> None:
    assert all(map(is_unit, ("gb", "inches", "pack", "ports")))
    assert not any(map(is_unit, ("toner", "", "xyz")))

import math

import pytest

from reranker.understanding.measures import find_measures, parse_number


@pytest.mark.parametrize(
    ("text", "dimension", "value"),
    [
        ('27" monitor', "length", 0.6858),
        ("27inch monitor", "length", 0.6858),
        ("68.6 cm", "length", 0.686),
        ("6 ft cable", "length", 1.8288),
        ("1,8 m Kabel", "length", 1.8),
        ("1 TB", "data", 1000),
        ("1,000GB", "data", 1000),
        ("16 GB", "data", 16),
        ("2 公斤", "mass", 2),
    ],
)
def test_numbers_with_units_are_converted(text: str, dimension: str, value: float) -> None:
    [measure] = find_measures(text)
    assert measure.unit.dimension == dimension
    assert measure.value == pytest.approx(value)


@pytest.mark.parametrize("text", ["4G phone", "2 in 1 tablet", "tn2110", "i7", "m2 screw", "80 g/m² paper"])
def test_what_only_looks_like_a_measure_is_none(text: str) -> None:
    assert [measure for measure in find_measures(text) if measure.unit.dimension in ("length", "mass")] == []


def test_a_comma_before_three_digits_groups_thousands() -> None:
    assert parse_number("1,500") == 1500
    assert parse_number("1,5") == 1.5


@pytest.mark.parametrize(
    ("text", "other", "equal"),
    [("24 inch", "23.8 inch", True), ("15.4 inch", "15.6 inch", False), ("1.8 m", "6 ft", True),
     ("500 GB", "512 GB", False), ("10.1 inch", "10 inch", False), ("2 m", "2.5 m", False)],
)  # fmt: skip
def test_measures_are_equal_as_far_as_they_are_said(text: str, other: str, equal: bool) -> None:
    [said], [other_measure] = find_measures(text), find_measures(other)
    assert (abs(math.log(other_measure.value / said.value)) <= said.tolerance) == equal

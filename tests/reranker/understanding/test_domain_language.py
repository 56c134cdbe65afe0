from collections.abc import Iterator

import pytest

from mappings.domains import DomainLanguage
from reranker.text.intent import strip_intent
from reranker.understanding.domain_language import use_language
from reranker.understanding.measures import UNITS, find_measures


@pytest.fixture(autouse=True)
def shop_again() -> Iterator[None]:
    yield
    use_language(DomainLanguage())


def test_a_domains_units_are_known_beside_the_shops() -> None:
    before = list(UNITS)
    use_language(DomainLanguage(units={"share": {"bp": (0.01, 0, "bp bps"), "pct": (1.0, 1, "%")}}))
    assert [(each.value, each.unit.name) for each in find_measures("25 bps of 3% and 16 gb")] == [
        (0.25, "bp"),
        (3.0, "pct"),
        (16.0, "gb"),
    ]
    assert UNITS[: len(before)] == before
    use_language(DomainLanguage())
    assert before == UNITS
    assert find_measures("25 bps") == []


def test_a_domains_intent_words_are_left_out_too() -> None:
    use_language(DomainLanguage(before=("invest in", "我想投资"), after=("有哪些",)))
    assert strip_intent("invest in green energy") == "green energy"
    assert strip_intent("我想投资债券有哪些") == "债券"
    assert strip_intent("i want to buy shares") == "shares"
    use_language(DomainLanguage())
    assert strip_intent("invest in green energy") == "invest in green energy"

import pytest

from reranker.understanding import learn_vocabulary
from reranker.understanding.kinds import choose_query_kind
from reranker.understanding.query import understand
from tests.fakes.small_catalogue import make_small_catalogue

VOCABULARY = learn_vocabulary(make_small_catalogue())


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("notebook", "head"),
        ("noise cancelling headphones", "phrase"),
        ("which notebook is good for school", "sentence"),
        ("white notebook", "colour"),
        ("27 inch monitor", "measure"),
        ("white 27 inch monitor under 200", "measure"),
        ("monitor under 200", "price"),
        ("toner for hl-2140", "model"),
    ],
)
def test_the_most_precise_demand_is_the_kind(text: str, kind: str) -> None:
    assert choose_query_kind(text, understand(text, VOCABULARY).demands) == kind


def test_a_number_in_a_word_is_no_model() -> None:
    assert choose_query_kind("rugged 5-pocket work pant") == "phrase"

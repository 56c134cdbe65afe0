import pytest

from reranker.understanding.spelling.edits import measure_edits


@pytest.mark.parametrize(
    ("typed", "word"),
    [("mouse", "mouse"), ("", "")],
)
def test_no_error_costs_nothing(typed: str, word: str) -> None:
    assert measure_edits(typed, word) == 0


@pytest.mark.parametrize(
    ("likely", "unlikely", "word"),
    [
        ("wirelless", "wirelxess", "wireless"),  # a letter doubled, another one put in
        ("wireles", "wirelss", "wireless"),  # one of two alike left out, another one
        ("wierless", "wigeless", "wireless"),  # letters exchanged, two others
        ("speeker", "speaxer", "speaker"),  # another vowel, another consonant
        ("headfones", "headtones", "headphones"),  # what sounds alike
        ("eléctrica", "eloctrica", "electrica"),  # an accent
        ("mouze", "nouse", "mouse"),  # inside, and in the first letter
    ],
)
def test_likely_errors_cost_less(likely: str, unlikely: str, word: str) -> None:
    assert 0 < measure_edits(likely, word) < measure_edits(unlikely, word)

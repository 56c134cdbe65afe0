"""What was heard is compared with the catalogue's names by their sound."""

from reranker.speech.nearby_phrases import list_nearby_phrases
from reranker.understanding.spoken_hints import SpokenNames

NAMES = SpokenNames(("patch cable", "toner cartridge", "photo paper", "mouse"), ("canon", "brother"))


def test_a_type_that_sounds_alike_comes_first() -> None:
    assert list_nearby_phrases(["told her car at ridge"], NAMES, 1) == ["toner cartridge"]
    assert list_nearby_phrases(["foto paper"], NAMES, 1) == ["photo paper"]


def test_a_brand_may_stand_before_the_type() -> None:
    assert list_nearby_phrases(["cannon mouse"], NAMES, 1) == ["canon mouse"]


def test_heard_words_before_a_type_may_stay() -> None:
    assert "dell patch cable" in list_nearby_phrases(["dell patch kable"], NAMES, 20)


def test_sentences_and_empty_texts_have_no_nearby_names() -> None:
    assert list_nearby_phrases(["", "i am looking for something nice to give to him"], NAMES, 5) == []

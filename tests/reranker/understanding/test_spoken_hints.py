from reranker.understanding.spoken_hints import SpokenNames, list_spoken_hints, list_spoken_names
from reranker.understanding.vocabulary import CatalogueVocabulary, TypePhrase


def test_hints_are_brands_and_types_as_the_catalogue_writes_them() -> None:
    vocabulary = CatalogueVocabulary(
        words={"batteries": 9, "battery": 3},
        brands={"sony": 5, "hp": 9, "c2g": 2},
        types={"batteri": TypePhrase(("batteri",), 7, 1.0)},
    )
    assert list_spoken_hints(vocabulary) == "sony, batteries"


def test_hints_stay_within_what_whisper_reads() -> None:
    brands = {f"brand{'abcdefghij'[i % 10] * (i // 10 + 1)}": 100 - i for i in range(100)}
    assert len(list_spoken_hints(CatalogueVocabulary(brands=brands))) <= 700


def test_a_catalogue_without_a_vocabulary_has_none() -> None:
    assert list_spoken_hints(CatalogueVocabulary()) == ""


def test_names_are_types_and_brands_the_commonest_first() -> None:
    vocabulary = CatalogueVocabulary(
        words={"cable": 9, "mouse": 3},
        brands={"sony": 5, "hp": 9, "canon": 7},
        types={
            "mous": TypePhrase(("mous",), 2, 1.0),
            "patch cabl": TypePhrase(("patch", "cabl"), 7, 1.0),
        },
    )
    assert list_spoken_names(vocabulary) == SpokenNames(("patch cable", "mouse"), ("canon", "sony"))

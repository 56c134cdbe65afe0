import pytest

from mappings.errors import ModelError
from mappings.types import Product
from reranker.understanding.learning import VocabularyLearner
from reranker.understanding.vocabulary import CatalogueVocabulary, read_vocabulary


def test_units_of_attributes_are_learnt_from_titles(vocabulary: CatalogueVocabulary) -> None:
    assert vocabulary.numbers["display diagonal"].unit == "in"
    assert vocabulary.numbers["internal memory"].unit == "gb"
    assert vocabulary.numbers["cable length"].unit == "m"
    assert "ram" in vocabulary.numbers["internal memory"].beside


def test_words_that_are_values_are_learnt(vocabulary: CatalogueVocabulary) -> None:
    assert vocabulary.values["i7"][0].attribute == "processor family"
    assert vocabulary.values["wireless"][0].attribute == "connectivity technology"
    assert set(vocabulary.kinds["colour"]) == {"product colour", "cable colour"}


def test_types_are_mined_from_titles(vocabulary: CatalogueVocabulary) -> None:
    assert {"monitor", "notebook", "notebook case", "mous"} <= vocabulary.types.keys()
    assert "wireless" not in vocabulary.nouns
    assert "black" not in vocabulary.nouns


def test_a_type_of_one_brand_is_learnt_where_its_end_is_a_type() -> None:
    titles = [(brand, f"{brand} slim pc {i}") for brand in ("Acme", "Bolt") for i in range(5)]
    titles += [("Cobra", f"Cobra C{i} notebook pc") for i in range(12)]
    titles += [("Dune", f"Dune D{i} gadget gizmo") for i in range(12)]
    learner = VocabularyLearner()
    for place, (brand, title) in enumerate(titles):
        learner.add(Product(str(place), title, brand))
    assert {"pc", "notebook pc"} <= learner.learn().types.keys()
    assert "gadget gizmo" not in learner.learn().types


def test_the_artefact_is_read_back(vocabulary: CatalogueVocabulary) -> None:
    assert read_vocabulary(vocabulary.to_text()) == vocabulary


@pytest.mark.parametrize("artefact", ["", "no base64", "bm8gemxpYg=="])
def test_what_is_not_an_artefact_is_refused(artefact: str) -> None:
    with pytest.raises(ModelError, match="rebuild the index"):
        read_vocabulary(artefact)


def test_a_long_catalogue_takes_no_more_memory_than_its_sample() -> None:
    learner = VocabularyLearner(sample=50)
    for number in range(2000):
        learner.add(Product(str(number), f"Thing {number} lamp", attributes={f"a{number}": 1.0}))
    assert learner.learn().products == 2000
    assert len(learner._sample) == 50


def test_no_types_are_mined_where_names_come_first() -> None:
    titles = ("Zapatillas de mujer para correr", "Patas de mesa con ruedas", "Funda de cojin para sofa")
    learner = VocabularyLearner()
    for place, title in enumerate(titles * 8):
        learner.add(Product(str(place), f"{title} {place}", ("Acme", "Bolt")[place % 2]))
    assert learner.learn().types == {}


def test_types_are_mined_whatever_the_categories_are() -> None:
    learner = VocabularyLearner()
    for place in range(12):
        brand = ("Acme", "Bolt", "Cobra")[place % 3]
        title = f"{brand} {('trail tent', 'camp stove')[place % 2]} T{place}"
        learner.add(
            Product(str(place), title, brand, category=("Outdoor > Tents", "Outdoor > Stoves")[place % 2])
        )
    assert {"tent", "stove"} <= learner.learn().types.keys()


def test_attributes_of_sizes_in_letters_and_of_women_men_and_kids_are_learnt() -> None:
    learner = VocabularyLearner()
    for place in range(24):
        attributes = {"size": "SML"[place % 3], "gender": ("Women", "Men", "Kids")[place % 3]}
        learner.add(Product(str(place), f"Acme shirt A{place}", "Acme", attributes=attributes))
    kinds = learner.learn().kinds
    assert kinds["size"] == ("size",)
    assert kinds["age"] == kinds["gender"] == ("gender",)

import numpy as np
import pytest

from mappings.types import Product
from reranker.understanding.facts import pack_facts, unpack_facts
from reranker.understanding.interpreter import QueryInterpreter
from reranker.understanding.learning import learn_vocabulary
from reranker.understanding.profiles import TypeProfiles
from tests.reranker.understanding.test_adjustment import encode_by_words, rank

_COMPUTER = {
    "processor family": "Corex",
    "internal memory": 8.0,
    "display diagonal": 15.6,
    "touchscreen": True,
}
_CABLE = {"cable length": 2.0, "connector": "USB", "gold plated": True, "outer diameter": 4.0}
_DESK = {"height": 72.0, "material": "Wood", "drawers": 3.0, "foldable": False}

_SHOP = [
    Product(f"{noun}-{i}", f"{brand} {noun} {brand[0]}{i}", brand, attributes=attributes)
    for noun, attributes, count in (("notebook", _COMPUTER, 30), ("cable", _CABLE, 60), ("desk", _DESK, 30))
    for i in range(count)
    for brand in (("Acme", "Bolt", "Cobra")[i % 3],)
]


@pytest.fixture(scope="module")
def interpreter() -> QueryInterpreter:
    return QueryInterpreter(learn_vocabulary(_SHOP), encode_by_words)


def test_attributes_say_what_a_product_is_whose_title_names_no_type(interpreter: QueryInterpreter) -> None:
    products = [
        Product("nothing", "Dune X0", price=9.5),
        Product("cable", "Dune X1", attributes=_CABLE, price=9.5),
        Product("notebook", "Dune X2", attributes=_COMPUTER, price=9.5),
        Product("desk", "Dune X3", attributes=_DESK, price=9.5),
    ]
    assert [each.id for each in rank(interpreter, products, "notebook under 50")][:2] == [
        "notebook",
        "nothing",
    ]
    assert [each.id for each in rank(interpreter, products, "desk under 50")][:2] == ["desk", "nothing"]


def test_a_title_that_names_the_type_comes_before_attributes_alone(interpreter: QueryInterpreter) -> None:
    products = [
        Product("unnamed", "Dune X2", attributes=_COMPUTER, price=9.5),
        Product("named", "Dune notebook X1", price=9.5),
    ]
    assert rank(interpreter, products, "notebook under 50")[0].id == "named"


def test_a_common_type_that_a_title_names_outweighs_attributes(interpreter: QueryInterpreter) -> None:
    products = [
        Product("cable", "Dune cable X1", attributes=_COMPUTER, price=9.5),
        Product("notebook", "Dune X2", attributes=_COMPUTER, price=9.5),
    ]
    assert rank(interpreter, products, "notebook under 50")[0].id == "notebook"


def test_a_few_attributes_say_nothing() -> None:
    profiles = learn_vocabulary(_SHOP).profiles
    few = Product("few", "Dune X1", attributes={"internal memory": 8.0, "unheard of": 1.0})
    positions, has_profile = profiles.place_products(unpack_facts([pack_facts(few), pack_facts(_SHOP[0])]))
    assert has_profile.tolist() == [False, True]
    assert np.linalg.norm(positions[1]) == pytest.approx(1, abs=1e-5)


def test_a_catalogue_without_attributes_has_no_profiles() -> None:
    bare = [Product(each.id, each.title, each.brand) for each in _SHOP]
    assert learn_vocabulary(bare).profiles == TypeProfiles()


def test_attributes_tell_what_a_product_is_without_any_other_demand(interpreter: QueryInterpreter) -> None:
    products = [
        Product("cable", "Dune X1", attributes=_CABLE),
        Product("notebook", "Dune X2", attributes=_COMPUTER),
    ]
    assert [each.id for each in rank(interpreter, products, "notebook")] == ["notebook", "cable"]

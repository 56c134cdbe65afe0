import pytest

from mappings.types import Product
from reranker.understanding.learning import learn_vocabulary
from reranker.understanding.vocabulary import CatalogueVocabulary
from tests.fakes.small_catalogue import make_small_catalogue


@pytest.fixture(scope="session")
def small_catalogue() -> list[Product]:
    return make_small_catalogue()


@pytest.fixture(scope="session")
def vocabulary(small_catalogue: list[Product]) -> CatalogueVocabulary:
    return learn_vocabulary(small_catalogue)

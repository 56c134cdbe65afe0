"""What a query demands and what products say about it, learnt from the catalogue."""

from reranker.understanding.demands import Understanding
from reranker.understanding.facts import pack_facts
from reranker.understanding.interpreter import QueryInterpreter
from reranker.understanding.learning import VocabularyLearner, learn_vocabulary
from reranker.understanding.vocabulary import CatalogueVocabulary, read_vocabulary

__all__ = [
    "CatalogueVocabulary",
    "QueryInterpreter",
    "Understanding",
    "VocabularyLearner",
    "learn_vocabulary",
    "pack_facts",
    "read_vocabulary",
]

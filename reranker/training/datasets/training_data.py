"""What the models learn from, once a run has selected it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mappings.types import Product
from reranker.evaluation.measures import Grades


@dataclass(frozen=True)
class TrainingData:
    """The products and labels of one run.

    `main` is the catalogue that the judgements are about. `others` widen what the product encoder has read.
    `pairs` are (query, product, probability of relevance).
    """

    main: Sequence[Product]
    others: Sequence[Product]
    pairs: Sequence[tuple[str, Product, float]]
    judgements: Mapping[str, Grades]

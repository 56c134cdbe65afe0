"""What one training run is to make, from what, and for how long; and what it made."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mappings.errors import ModelError
from mappings.types import Judgement, Product
from reranker.evaluation.judgements import assign_side, split_by_query
from reranker.evaluation.measures import Grades, group_by_query
from reranker.model import Model
from reranker.training.clicks.click_labels import ClickEvidence
from reranker.training.recipe import Recipe, SmallQueryConfig


@dataclass(frozen=True)
class Teacher:
    """An encoder to learn from.

    `unpack` writes it into the folder that it is given, in Hugging Face's format, and returns where it lies.
    It was trained to read the prefixes before queries and products.
    """

    name: str
    unpack: Callable[[Path], Path]
    query_prefix: str = ""
    product_prefix: str = ""


@dataclass(frozen=True)
class TrainingPlan:
    """What to train, from what, and for how long.

    A shop's model continues the model folder `base`. Without a base the model is made from scratch, from
    `query_encoder` and all products; the shipped weights are made so.

    `query_encoder` and `product_encoder` are encoders in Hugging Face's format to start from instead of the
    base's. Where there are `teachers`, the query encoder is distilled from them. `query_encoder_label` names
    the query encoder for people. `small_query` asks for a query encoder of fewer layers.

    `others` are further catalogues for the product encoder to read. `pairs` are (query, product, probability
    of relevance) of any shop: they teach the scorer what a probability is. With `cross_validate` all
    judgements are learnt from and the figures are cross-validated; otherwise some queries are held out.

    `steps` is how many steps the product encoder is distilled for, instead of what `budget_minutes` allow.
    Without either, it is the recipe's. The same steps and seed make the same model. `sources` names for
    people what the data came from. A model that continues its base `must_gain` beyond chance, or the folder
    holds the base. `replaces` allows `folder` to exist already. `checkpoint_seconds` is the
    time between two checkpoints.
    """

    folder: Path
    products: Sequence[Product]
    base: Path | None = None
    judgements: Sequence[Judgement] = ()
    clicks: Sequence[ClickEvidence] = ()
    pairs: Sequence[tuple[str, Product, float]] = ()
    others: Sequence[Product] = ()
    query_encoder: str | None = None
    query_encoder_label: str = ""
    teachers: Sequence[Teacher] = ()
    product_encoder: str | None = None
    small_query: SmallQueryConfig | None = None
    cross_validate: bool = False
    budget_minutes: float | None = None
    steps: int | None = None
    seed: int = 7
    fresh: bool = False
    replaces: bool = False
    checkpoint_seconds: float = 45.0
    must_gain: bool = True
    recipe: Recipe = field(default_factory=Recipe)
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def continues_base(self) -> bool:
        """Whether both encoders of the base are continued."""
        return not (self.query_encoder or self.product_encoder)

    def check(self) -> None:
        """Raise ModelError where the plan can't be carried out."""
        if not self.products:
            raise ModelError("a catalogue without products teaches nothing")
        if self.base is None and not self.query_encoder:
            raise ModelError("there is nothing to start from: name a base model or a query encoder")
        if self.base is None and self.budget_minutes is not None:
            raise ModelError("a budget needs a base model to measure this machine's speed with")


@dataclass(frozen=True)
class TrainReport:
    """What a run made. `learnt` is how many of the `products` there was time to learn from.

    `kept_start` is true where nothing showed the trained model to be better than its start, which the folder
    then holds.
    """

    folder: Path
    model: str
    products: int
    learnt: int
    steps: int
    seconds: float
    resumed: bool
    figures: Mapping[str, Any]
    kept_start: bool = False


@dataclass(frozen=True)
class Labels:
    """What people said of products, by the part that each query has in training.

    `graded` is learnt from, `dev` tells the scorer when to stop, and `test` is only measured.
    """

    graded: Mapping[str, Grades]
    dev: Mapping[str, Grades]
    test: Mapping[str, Grades]
    clicks: Sequence[ClickEvidence]

    @property
    def queries(self) -> set[str]:
        """Queries that the model may have learnt from."""
        return {*self.graded, *self.dev, *(evidence.query for evidence in self.clicks)}


def assign_labels(plan: TrainingPlan) -> Labels:
    """Give every judged and every clicked query its part in training."""
    clicks = [evidence for evidence in plan.clicks if assign_side(evidence.query) == "train"]
    if plan.cross_validate:
        return Labels(group_by_query(plan.judgements), {}, {}, clicks)
    split = split_by_query(plan.judgements)
    graded, dev, test = map(group_by_query, (split.train, split.dev, split.test))
    return Labels(graded, dev, test, clicks)


def fingerprint_data(plan: TrainingPlan) -> dict[str, str]:
    """Return a fingerprint of each kind of data that the plan learns from."""
    return {
        "catalogue": fingerprint_records(plan.products),
        "judgements": fingerprint_records(plan.judgements),
        "clicks": fingerprint_records(plan.clicks),
        "pairs": fingerprint_records(plan.pairs),
    }


def fingerprint_plan(plan: TrainingPlan) -> dict[str, Any]:
    """Return what tells this plan from others, in JSON's types only. Data comes as fingerprints."""
    return {
        **fingerprint_data(plan),
        "further catalogue": fingerprint_records(plan.others),
        "base": Model(plan.base).version if plan.base else None,
        "query encoder": plan.query_encoder,
        "teachers": [teacher.name for teacher in plan.teachers],
        "product encoder": plan.product_encoder,
        "query tower": asdict(plan.small_query) if plan.small_query else None,
        "cross-validation": plan.cross_validate,
        "budget": plan.budget_minutes,
        "number of steps": plan.steps,
        "seed": plan.seed,
        "recipe": fingerprint_records([plan.recipe]),
    }


def fingerprint_records(records: Sequence[object]) -> str:
    """Return 16 hex digits of a SHA-256 over the records' reprs, in their order."""
    digest = hashlib.sha256()
    for record in records:
        digest.update(repr(record).encode())
    return digest.hexdigest()[:16]

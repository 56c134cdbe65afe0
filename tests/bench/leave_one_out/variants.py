"""Ways to train the scorer, and the training on all catalogues but those that are left out."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from reranker.fusion import FEATURES, Scorer
from reranker.model import Model
from reranker.training.recipe import ScorerConfig
from reranker.training.scoring.scorer import PRIOR, Example, train_scorer
from reranker.types import Doubles, Floats
from tests.bench.leave_one_out.catalogues import (
    TAUGHT,
    JudgedCatalogue,
    Material,
    ReplacedScorer,
    merge_idf_tables,
)
from tests.bench.leave_one_out.measuring import LogOdds, MeasuredCatalogue, gather_queries

_MAIN = "electronics"
_COSINE = (20.5, -12.6)
_PRIOR = (14.2, -13.5)
"""Slope and shift of the log-odds of the cosine alone and of the prior, fitted to the shipped scorer's."""


@dataclass(frozen=True)
class Variant:
    """A way to train: its config, the weights of each kind of example, and what they are made from.

    `others` is the weight of soft lists of further catalogues than the main one. Where the main one is left
    out, theirs are all there are. `shared_idf` takes the mean table of all catalogues in training. The scorer
    does not read the features that are `dropped`.
    """

    config: ScorerConfig = field(default_factory=ScorerConfig)
    soft: float = 1.0
    others: float = 0.0
    demands: float = 0.0
    right: float = 0.0
    graded: float = 1.0
    pairs: float = 1.0
    shared_idf: bool = False
    dropped: tuple[str, ...] = ()


BASE = Variant()
VARIANTS: dict[str, Variant] = {
    "the recipe": BASE,
    **{f"prior weight {w:g}": replace(BASE, config=ScorerConfig(prior_weight=w)) for w in (0.5, 2, 10, 30)},
    **{f"pair weight {w:g}": replace(BASE, config=ScorerConfig(pair_weight=w)) for w in (0.1, 1, 2)},
    **{f"{n} epochs": replace(BASE, config=ScorerConfig(epochs=n)) for n in (4, 24)},
    **{
        f"interaction scale {w:g}": replace(BASE, config=ScorerConfig(interaction_scale=w))
        for w in (0, 0.1, 1)
    },
    "without word features": replace(BASE, dropped=FEATURES[4:]),
    "without fields": replace(BASE, dropped=("title", "brand", "category", "other")),
    "without title_focus": replace(BASE, dropped=("title_focus",)),
    "lists around right products": replace(BASE, right=1.0),
    "lists around right products x 3": replace(BASE, right=3.0),
    "and no soft lists": replace(BASE, right=1.0, soft=0.0),
    "right and soft of all": replace(BASE, right=1.0, others=1.0),
    "right, soft and demands of all": replace(BASE, right=1.0, others=1.0, demands=1.0),
    "right, idf of all": replace(BASE, right=1.0, shared_idf=True),
    "right, interaction 0": replace(BASE, right=1.0, config=ScorerConfig(interaction_scale=0)),
    "right, pair weight 0.1": replace(BASE, right=1.0, config=ScorerConfig(pair_weight=0.1)),
    "right, prior weight 2": replace(BASE, right=1.0, config=ScorerConfig(prior_weight=2)),
    "right, prior weight 10": replace(BASE, right=1.0, config=ScorerConfig(prior_weight=10)),
    "soft lists of all catalogues": replace(BASE, others=1.0),
    "lists of demands": replace(BASE, demands=1.0),
    "soft lists and demands of all": replace(BASE, others=1.0, demands=1.0),
    "idf of all catalogues": replace(BASE, shared_idf=True),
    "no soft lists": replace(BASE, soft=0.0),
    **{f"judged lists x {w:g}": replace(BASE, graded=w) for w in (0, 0.25, 3)},
    **{f"judged pairs x {w:g}": replace(BASE, pairs=w) for w in (0, 4, 16)},
}


class Trainer:
    """Trains variants without the catalogues that are left out, and gathers what they are measured on."""

    def __init__(
        self, base: Model, catalogues: Mapping[str, JudgedCatalogue], kept_aside: bool | None
    ) -> None:
        self._base, self._catalogues, self._kept_aside = base, catalogues, kept_aside
        self._materials: dict[tuple[tuple[str, ...], str], Material] = {}
        self._queries: dict[tuple[tuple[str, ...], str], MeasuredCatalogue] = {}
        self._scorers: dict[tuple[Variant, tuple[str, ...]], Scorer] = {}

    def train(self, variant: Variant, left_out: Collection[str]) -> Scorer:
        """Return the scorer that a variant makes of all catalogues but those left out."""
        key = variant, tuple(sorted(left_out))
        if key not in self._scorers:
            model = self._model(self._choose_tables(variant, left_out))
            examples = self._list_examples(variant, left_out)
            columns = [FEATURES.index(name) for name in variant.dropped]
            examples = [replace(each, inputs=_blank(each.inputs, columns)) for each in examples]
            scorer = train_scorer(examples, model.scorer, variant.config)
            scale = scorer.scale.copy()
            scale[columns] = 0
            self._scorers[key] = replace(scorer, scale=scale)
        return self._scorers[key]

    def gather(self, name: str, variant: Variant, left_out: Collection[str]) -> MeasuredCatalogue:
        """Return the queries of a catalogue, as the variant's scorer reads them."""
        tables = self._choose_tables(variant, left_out)
        key = tables, name
        if key not in self._queries:
            catalogue = self._catalogues[name]
            self._queries[key] = gather_queries(catalogue, self._model(tables), self._kept_aside)
        return self._queries[key]

    def _list_examples(self, variant: Variant, left_out: Collection[str]) -> list[Example]:
        tables = self._choose_tables(variant, left_out)
        taught = [name for name in TAUGHT if name not in left_out]
        examples: list[Example] = []
        for name in taught:
            key = tables, name
            if key not in self._materials:
                self._materials[key] = self._catalogues[name].build_material(self._model(tables))
            material = self._materials[key]
            is_main = name == _MAIN or _MAIN in left_out
            soft = variant.soft * (1.0 if is_main else variant.others)
            for kind, weight in (
                (material.soft, soft),
                (material.demands, variant.demands),
                (material.right, variant.right),
                (material.pairs, variant.pairs),
                (material.graded, variant.graded),
            ):
                examples += [replace(each, weight=each.weight * weight) for each in kind if weight]
        return examples

    def _choose_tables(self, variant: Variant, left_out: Collection[str]) -> tuple[str, ...]:
        """Return the catalogues whose words say how rare a word is."""
        taught = tuple(name for name in TAUGHT if name not in left_out)
        return taught if variant.shared_idf or _MAIN not in taught else (_MAIN,)

    def _model(self, tables: Sequence[str]) -> Model:
        table = merge_idf_tables([self._catalogues[name].idf_table for name in tables])
        return ReplacedScorer(self._base.folder, replace(self._base.scorer, idf_table=table))


def _blank(inputs: Floats, columns: Sequence[int]) -> Floats:
    if columns:
        inputs = inputs.copy()
        inputs[:, columns] = 0
    return inputs


def score_by(scorer: Scorer) -> LogOdds:
    """Return the log-odds of relevance by a scorer."""
    return lambda inputs: np.asarray(scorer.logits(inputs)[:, 0], dtype=np.float64)


def _combine(weights: Mapping[str, float], slope: float, shift: float) -> LogOdds:
    def score(inputs: Floats) -> Doubles:
        total = sum(weight * inputs[:, FEATURES.index(name)] for name, weight in weights.items())
        return np.asarray(slope * total + shift, dtype=np.float64)

    return score


BASELINES: Mapping[str, Callable[[Scorer], LogOdds]] = {
    "cosine": lambda _: _combine({"cosine": 1.0}, *_COSINE),
    "prior": lambda _: _combine(PRIOR, *_PRIOR),
    "as shipped": score_by,
}

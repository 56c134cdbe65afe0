"""Every number of a training run. All of them are stamped into the model's config."""

from dataclasses import dataclass, field, replace
from typing import Literal


@dataclass(frozen=True)
class QueryDistillationConfig:
    """How the query encoder is distilled from its teachers."""

    steps: int = 900
    learning_rate: float = 1e-4
    warmup: int = 60
    weight_decay: float = 0.01
    clusters: int = 6
    neighbours: int = 8
    random_negatives: int = 4
    queries: int = 32
    nearest: int = 40
    token_share: float = 0.5
    slope: float = 16.0
    part_slope: float = 20.0
    part_weight: float = 0.5
    relation_weight: float = 0.3
    margin_weight: float = 20.0
    product_tokens: int = 80
    query_tokens: int = 24
    token_width: int = 160
    seed: int = 7


@dataclass(frozen=True)
class DistillationConfig:
    """How a tower is distilled from a larger one."""

    steps: int = 1800
    batch: int = 48
    learning_rate: float = 7e-4
    warmup: int = 100
    weight_decay: float = 0.01
    token_weight: float = 0.75
    relation_weight: float = 0.1
    temperature: float = 0.05
    rank_weight: float = 0.3
    token_rank_weight: float = 0.15
    neighbours: int = 3
    neighbour_pool: int = 1500
    queries: int = 32
    seed: int = 7


@dataclass(frozen=True)
class SmallQueryConfig:
    """How a query tower of `layers` layers is trained."""

    layers: int = 2
    query_tokens: int = 32
    distil: DistillationConfig = field(
        default_factory=lambda: DistillationConfig(steps=1500, batch=64, learning_rate=5e-4)
    )


@dataclass(frozen=True)
class ScratchConfig:
    """Sizes of an encoder made from a catalogue alone, and how it is trained."""

    layers: int = 2
    width: int = 128
    heads: int = 4
    vocabulary: int = 8000
    tokens: int = 64
    steps: int = 200
    batch: int = 48
    learning_rate: float = 1e-3
    temperature: float = 0.05
    strange_share: float = 0.5
    seed: int = 7


@dataclass(frozen=True)
class SoftConfig:
    """How examples are made from a bare catalogue."""

    queries: int = 1500
    keyword_candidates: int = 12
    vector_candidates: int = 12
    random_candidates: int = 4
    source_share: float = 0.05
    seed: int = 7


@dataclass(frozen=True)
class ScorerConfig:
    """How the scorer is trained."""

    epochs: int = 12
    learning_rate: float = 1e-3
    weight_decay: float = 0.02
    interaction_scale: float = 0.3
    prior_weight: float = 5.0
    pair_weight: float = 0.5
    list_batch: int = 32
    patience: int = 4
    seed: int = 7


@dataclass(frozen=True)
class Recipe:
    """The numbers of all stages.

    `query_main` and `query_others` say what the query encoder is distilled on, of the catalogue and of other
    catalogues: the number of products, the number of queries made from them, and their share of the batches.
    `query_bits` are those of a weight of the query encoder's layers, and `product_layers` is how many of its
    layers the product encoder starts from. `others_share` and `pairs_share` are the shares of other
    catalogues and of judged pairs in what the product encoder reads.
    """

    query: QueryDistillationConfig = field(default_factory=QueryDistillationConfig)
    query_main: tuple[int, int, float] = (8000, 12_000, 0.55)
    query_others: tuple[int, int, float] = (3000, 2500, 0.12)
    product: DistillationConfig = field(default_factory=DistillationConfig)
    soft: SoftConfig = field(default_factory=SoftConfig)
    scorer: ScorerConfig = field(default_factory=ScorerConfig)
    scratch: ScratchConfig = field(default_factory=ScratchConfig)
    query_bits: Literal[4, 8] = 8
    product_layers: int = 4
    token_width: int = 128
    product_tokens: int = 96
    stored_tokens: int = 24
    token_bits: Literal[1, 8] = 1
    graded_weight: float = 4.0
    click_weight: float = 2.0
    pair_weight: float = 0.5
    others_share: float = 0.3
    pairs_share: float = 0.2
    with_attributes_every: int = 3

    def seeded(self, seed: int) -> "Recipe":
        """Return the recipe with every stage drawing by `seed`."""
        stages = ("query", "product", "soft", "scorer", "scratch")
        return replace(self, **{stage: replace(getattr(self, stage), seed=seed) for stage in stages})

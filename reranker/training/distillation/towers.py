"""Both towers of a model folder: what the product tower starts from, what it reads, and its distillation."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from mappings.errors import ModelError
from reranker.model import PRODUCT, PRODUCT_TOKENIZER, QUERY, TOKENIZER, Model
from reranker.probes.known_items import make_queries
from reranker.text.product_text import build_product_text
from reranker.training.datasets.training_data import TrainingData
from reranker.training.distillation.disk_cache import cache_states
from reranker.training.distillation.teacher import (
    Reading,
    TeacherStates,
    compute_product_states,
    compute_query_states,
    tokenise_readings,
)
from reranker.training.distillation.time_budget import distil_within_budget
from reranker.training.encoders.bert import Bert, Encoder
from reranker.training.encoders.export import export_product_tower, export_query_tower
from reranker.training.encoders.gpt2 import ProductTower
from reranker.training.encoders.hub import load_tokenizer
from reranker.training.encoders.initialisation import build_tower_from_bert, load_gpt2_tower, spread_layers
from reranker.training.encoders.restore import restore_tower
from reranker.training.plan import TrainingPlan
from reranker.training.recipe import Recipe
from reranker.training.run.files import write_atomically
from reranker.training.run.progress import ReportStage, ignore_progress
from reranker.training.run.run_folder import TrainingRun

_QUERY_TOKENS = 24
_QUERIES_PER_PRODUCT = 2
_MAX_QUERIES = 15_000
"""Queries made from one catalogue for distillation."""


@dataclass(frozen=True)
class StartingPoint:
    """Where the product tower starts from; `tokenizer` is the one it reads by."""

    tower: ProductTower
    tokenizer: Tokenizer


def choose_start(plan: TrainingPlan, base: Model | None, encoder: Encoder, recipe: Recipe) -> StartingPoint:
    """Return the tower that training starts from: the base's, a GPT-2's, or the query encoder's own layers.

    Raises ModelError where the named encoders don't fit.
    """
    if base and plan.continues_base:
        return start_from_base(base, encoder)
    return start_from_encoder(encoder, plan.product_encoder, recipe)


def start_from_base(base: Model, encoder: Encoder) -> StartingPoint:
    """Continue the product tower of a model folder whose query encoder is `encoder`.

    Raises ModelError where it is another.
    """
    if base.dimension != encoder.dimension or base.tokenizer.get_vocab() != encoder.tokenizer.get_vocab():
        raise ModelError(
            f"the model in {base.folder} was not made with this query encoder: name the right one by "
            "--query-encoder together with --product-encoder, or another --base"
        )
    tower = restore_tower(base.folder / PRODUCT, base.config.product_heads)
    return StartingPoint(tower, base.product_tokenizer)


def start_from_encoder(encoder: Encoder, source: str | None, recipe: Recipe) -> StartingPoint:
    """Start from the GPT-2 named by `source`, or for None from the query encoder's own layers.

    Raises ModelError where it can't be loaded or is not a GPT-2.
    """
    positions = recipe.product_tokens
    if source:
        return StartingPoint(load_gpt2_tower(source, encoder.dimension, positions), load_tokenizer(source))
    if not isinstance(encoder, Bert):
        raise ModelError("no GPT-2 to start from: name --product-encoder")
    layers = spread_layers(encoder.network.config.num_hidden_layers, recipe.product_layers)
    return StartingPoint(build_tower_from_bert(encoder, layers, positions), encoder.product_tokenizer)


@dataclass(frozen=True)
class TowerTexts:
    """What the product tower learns from: `chances` (n,) are those of drawing a text.

    The first `main` texts are the catalogue's. `queries` are made from the texts: (query, row).
    """

    readings: Sequence[Reading]
    chances: NDArray[np.float64]
    main: int
    queries: Sequence[tuple[str, int]]


def collect_texts(data: TrainingData, encoder: Encoder, start: StartingPoint, recipe: Recipe) -> TowerTexts:
    """Return what the product tower reads, the catalogue's texts first.

    Further catalogues and judged pairs have the recipe's shares, whatever their numbers. Products with
    attributes come without them and, every so many, with them as well: the tower reads both.
    """
    others = recipe.others_share if data.others else 0.0
    paired = recipe.pairs_share if data.pairs else 0.0
    texts: list[Reading] = []
    chances: list[float] = []
    queries: list[tuple[str, int]] = []
    for products, share in (
        (data.main, 1.0 - (others + paired)),
        (data.others, others),
        ([product for _, product, _ in data.pairs], paired),
    ):
        first = len(texts)
        count = min(_QUERIES_PER_PRODUCT * len(products), _MAX_QUERIES)
        queries += [(text, first + row) for text, row in make_queries(products, count, recipe.product.seed)]
        rows = tokenise_readings(
            encoder, start.tokenizer, [build_product_text(p) for p in products], start.tower.positions
        )
        with_attributes = [row for row in rows if len(row.product.ids) > row.product.pooled]
        texts += [row.head() for row in rows] + with_attributes[:: recipe.with_attributes_every]
        chances += [share / max(1, len(products))] * (len(texts) - len(chances))
    return TowerTexts(texts, np.array(chances) / sum(chances), len(data.main), queries)


@dataclass(frozen=True)
class Towers:
    """A model folder with its towers, and what the product tower learnt from.

    `states` are the teacher's of the catalogue's pooled texts. `positions` is how many tokens of a product
    the tower reads, `heads` its number of attention heads, and `steps` how long it was distilled.
    """

    folder: Path
    states: TeacherStates
    positions: int
    heads: int
    steps: int


def make_towers(
    run: TrainingRun,
    bert: Encoder,
    start: StartingPoint,
    texts: TowerTexts,
    recipe: Recipe,
    seconds: float | None,
    stages: ReportStage,
    base: Path | None = None,
) -> Towers:
    """Distil and export both towers into a folder of `run`, in `seconds` or in as long as it takes.

    The query tower is the one of the folder `base`, where there is one, else `bert` exported.
    """
    until = None if seconds is None else time.monotonic() + seconds
    folder = run.work / "model"
    folder.mkdir(exist_ok=True)
    teacher = cache_states(
        lambda rows: compute_product_states(bert, [texts.readings[i] for i in rows], ignore_progress).states,
        [reading.product.ids for reading in texts.readings],
        bert.dimension,
        run.work / "teacher.f16",
        stages("teacher reads the products"),
    )
    if not (folder / PRODUCT).is_file():
        learning = stages("product tower learns")
        remaining = None if until is None else until - time.monotonic()
        queries = compute_query_states(bert, texts.queries, _QUERY_TOKENS) if texts.queries else None
        tower, steps = distil_within_budget(
            run, start.tower, teacher, texts.chances, recipe.product, remaining, learning, queries
        )
        run.decide("steps", steps)
        _write_query_tower(bert, start, base, folder, recipe)
        with write_atomically(folder / PRODUCT) as unfinished:
            export_product_tower(tower, unfinished)
    main = TeacherStates(teacher.ids[: texts.main], teacher.states[: texts.main])
    sizes = start.tower.transformer.config
    return Towers(folder, main, sizes.n_positions, sizes.n_head, run.decided["steps"])


def _write_query_tower(
    bert: Encoder, start: StartingPoint, base: Path | None, folder: Path, recipe: Recipe
) -> None:
    if isinstance(bert, Bert):
        bert.network.cpu()
        export_query_tower(bert, folder / QUERY, "int4-blocks" if recipe.query_bits == 4 else "int8-blocks")
        bert.tokenizer.save(str(folder / TOKENIZER))
    elif base:
        for name in (QUERY, TOKENIZER):
            shutil.copyfile(base / name, folder / name)
    if start.tokenizer.to_str() != bert.tokenizer.to_str():
        start.tokenizer.save(str(folder / PRODUCT_TOKENIZER))

"""Both towers of a model folder: what the product tower starts from, what it reads, and its distillation."""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from mappings.errors import ModelError
from mappings.types import Product
from reranker.model import PRODUCT, PRODUCT_TOKENIZER, QUERY, TOKENIZER, Model
from reranker.text.product_text import build_product_text
from reranker.training.datasets.synthetic_queries import make_queries
from reranker.training.distillation.disk_cache import cache_states, ignore_progress
from reranker.training.distillation.product_distillation import DistilConfig
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
from reranker.training.run.files import write_atomically
from reranker.training.run.run_folder import TrainingRun

QUERY_TOKENS = 24
QUERIES_EACH = 2
MOST_QUERIES = 15_000
"""Queries made of a catalogue for distillation."""

Progress = Callable[[int, int], None]
Stages = Callable[[str], Progress]
"""Name of a stage → where its progress (done, of) is reported."""


@dataclass(frozen=True)
class StartingPoint:
    """Where the product tower starts from; `tokenizer` is the one it reads by."""

    tower: ProductTower
    tokenizer: Tokenizer


def start_from_base(base: Model, bert: Encoder) -> StartingPoint:
    """Go on with the towers of a model folder, whose query encoder is `bert`.

    Raises ModelError where it is another.
    """
    if base.dimension != bert.dimension or base.tokenizer.get_vocab() != bert.tokenizer.get_vocab():
        raise ModelError(
            f"the model in {base.folder} was not made with this query encoder: name the right one by "
            "--query-encoder together with --product-encoder, or another --base"
        )
    return StartingPoint(restore_tower(base.folder / PRODUCT), base.product_tokenizer)


def start_from_encoder(bert: Encoder, source: str | None, positions: int) -> StartingPoint:
    """Start from the GPT-2 named by `source`, or for None from the query encoder's own layers.

    Raises ModelError where it can't be had or is no GPT-2.
    """
    if source:
        return StartingPoint(load_gpt2_tower(source, bert.dimension, positions), load_tokenizer(source))
    if not isinstance(bert, Bert):
        raise ModelError("no GPT-2 to start from: name --product-encoder")
    layers = spread_layers(bert.network.config.num_hidden_layers)
    return StartingPoint(build_tower_from_bert(bert, layers, positions), bert.tokenizer)


@dataclass(frozen=True)
class TowerTexts:
    """What the product tower learns from: `chances` (n,) that a text is drawn; the first `main` are the
    catalogue's. `queries` are made of them: (query, row).
    """

    readings: Sequence[Reading]
    chances: NDArray[np.float64]
    main: int
    queries: Sequence[tuple[str, int]]


def collect_tower_texts(
    bert: Encoder,
    tokenizer: Tokenizer,
    groups: Sequence[tuple[Sequence[Product], float]],
    most: int,
    with_attributes_every: int,
    seed: int,
) -> TowerTexts:
    """Return the texts of groups of products, each with its share of what is drawn; the catalogue's first.

    Products with attributes come without them and, every so many, with them as well: the tower reads both.
    """
    found: list[Reading] = []
    chances: list[float] = []
    queries: list[tuple[str, int]] = []
    for products, share in groups:
        first = len(found)
        made = make_queries(products, min(QUERIES_EACH * len(products), MOST_QUERIES), seed)
        queries += [(text, first + row) for text, row in made]
        rows = tokenise_readings(bert, tokenizer, [build_product_text(p) for p in products], most)
        whole = [row for row in rows if len(row.product.ids) > row.product.pooled]
        found += [row.head() for row in rows] + whole[::with_attributes_every]
        chances += [share / max(1, len(products))] * (len(found) - len(chances))
    return TowerTexts(found, np.array(chances) / sum(chances), len(groups[0][0]), queries)


@dataclass(frozen=True)
class Towers:
    """A model folder with its towers, and what the product tower learnt from.

    `states` are the teacher's of the catalogue's pooled texts; `positions` is how many tokens of a product
    the tower reads, `steps` how long it was distilled.
    """

    folder: Path
    states: TeacherStates
    positions: int
    steps: int


def make_towers(
    run: TrainingRun,
    bert: Encoder,
    start: StartingPoint,
    texts: TowerTexts,
    config: DistilConfig,
    seconds: float | None,
    stages: Stages,
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
        left = None if until is None else until - time.monotonic()
        asked = compute_query_states(bert, texts.queries, QUERY_TOKENS) if texts.queries else None
        tower, steps = distil_within_budget(
            run, start.tower, teacher, texts.chances, config, left, learning, asked
        )
        run.decide("steps", steps)
        _queries(bert, start, base, folder)
        with write_atomically(folder / PRODUCT) as unfinished:
            export_product_tower(tower, unfinished)
    main = TeacherStates(teacher.ids[: texts.main], teacher.states[: texts.main])
    return Towers(folder, main, start.tower.positions, run.decided["steps"])


def _queries(bert: Encoder, start: StartingPoint, base: Path | None, folder: Path) -> None:
    if isinstance(bert, Bert):
        bert.network.cpu()
        export_query_tower(bert, folder / QUERY)
        bert.tokenizer.save(str(folder / TOKENIZER))
    elif base:
        for name in (QUERY, TOKENIZER):
            shutil.copyfile(base / name, folder / name)
    if start.tokenizer.to_str() != bert.tokenizer.to_str():
        start.tokenizer.save(str(folder / PRODUCT_TOKENIZER))

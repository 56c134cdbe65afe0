"""How much of a plan's data there is time to learn from, and the queries that measure the outcome."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from mappings.types import Product
from reranker.model import Model
from reranker.probes.known_items import make_queries
from reranker.text.product_text import build_product_text
from reranker.training.distillation.teacher import compute_product_states, tokenise_readings
from reranker.training.encoders.bert import Encoder
from reranker.training.plan import TrainingPlan
from reranker.training.recipe import Recipe
from reranker.training.run.progress import ignore_progress
from reranker.training.run.run_folder import TrainingRun
from reranker.training.run.time_plan import (
    SAMPLE_PRODUCTS,
    MachineSpeed,
    draw_rows,
    estimate_seconds_after,
    limit_queries,
    select_rows,
)
from reranker.training.scoring.figures import hold_out_queries, measure_known_item
from reranker.training.scoring.probing import CatalogueProbe, make_catalogue_probes

_TRIAL_PRODUCTS = 96
"""Products that measure this machine's speed."""

_TRIAL_QUERIES = 20
_HELD_OUT_QUERIES = 200


@dataclass(frozen=True)
class Selection:
    """What a run learns from and is measured by.

    `products` are learnt from. Each of the held-out `queries` was made from one product of `sample` and is to
    find it there. `probes` are made queries of every kind, and what of `sample` answers them.
    `recipe` makes no more queries than there is time for. `speed` is None where time is not limited.
    """

    products: Sequence[Product]
    sample: Sequence[Product]
    queries: Mapping[str, Product]
    probes: Sequence[CatalogueProbe]
    recipe: Recipe
    speed: MachineSpeed | None


def select_data(
    plan: TrainingPlan, run: TrainingRun, base: Model | None, encoder: Encoder, recipe: Recipe
) -> Selection:
    """Select as many products and queries as the budget allows: all of them where there is no budget.

    Labelled products come first, the others at random. The speed of this machine is measured once a run.
    """
    labelled = [judgement.product_id for judgement in plan.judgements]
    labelled += [evidence.product_id for evidence in plan.clicks]
    rows = draw_rows(plan.products, labelled, plan.seed)
    sample = [plan.products[row] for row in sorted(rows[:SAMPLE_PRODUCTS])]
    speed = None
    if base and plan.budget_minutes is not None and plan.steps is None:
        measured = run.decided.get("speed")
        measured = measured or run.decide(
            "speed", asdict(_measure_speed(plan, base, encoder, recipe, sample))
        )
        speed = MachineSpeed(**measured)
        seconds = 60 * plan.budget_minutes
        products = [plan.products[row] for row in select_rows(rows, speed, seconds)]
        most = min(recipe.soft.queries, limit_queries(speed, len(products), seconds))
        recipe = replace(recipe, soft=replace(recipe.soft, queries=most))
    else:
        products = list(plan.products)
    trained = [text for text, _ in make_queries(products, recipe.soft.queries, recipe.soft.seed)]
    queries = hold_out_queries(sample, trained, plan.seed, _HELD_OUT_QUERIES) if base else {}
    probes = make_catalogue_probes(sample, trained, plan.seed) if base else []
    return Selection(products, sample, queries, probes, recipe, speed)


def compute_distillation_seconds(plan: TrainingPlan, run: TrainingRun, selection: Selection) -> float | None:
    """Return how long distillation may take: what the stages after it leave of the budget. None: no limit."""
    if selection.speed is None or plan.budget_minutes is None:
        return None
    after = estimate_seconds_after(selection.speed, len(selection.products), selection.recipe.soft.queries)
    return max(0.0, 60 * plan.budget_minutes - run.seconds - after)


def _measure_speed(
    plan: TrainingPlan, base: Model, encoder: Encoder, recipe: Recipe, sample: Sequence[Product]
) -> MachineSpeed:
    trial = sample[:_TRIAL_PRODUCTS]
    texts = [build_product_text(p) for p in trial]
    started = time.monotonic()
    rows = tokenise_readings(encoder, encoder.product_tokenizer, texts, recipe.product_tokens)
    compute_product_states(encoder, rows, ignore_progress)
    read = time.monotonic()
    encoded = base.encode_products(trial)
    ready = time.monotonic()
    queries = hold_out_queries(trial, (), plan.seed, _TRIAL_QUERIES)
    measure_known_item(base, trial, encoded, queries)
    searched = time.monotonic()
    return MachineSpeed(
        round(len(trial) / (read - started), 2),
        round(len(trial) / (ready - read), 2),
        round(len(queries) / (searched - ready), 2),
    )

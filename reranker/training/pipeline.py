"""One training run, from a plan to a model folder: the shipped weights and a shop's model are both made so.

The stages, each of which continues where an earlier process stopped: prepare the query encoder; select what
there is time to learn from; measure the base model; let the teacher read the products; distil the product
tower; export; encode the catalogue; make the scorer's examples; train the scorer; measure; finish the folder.
A model that continues its base and is not shown to be better is dropped: the folder then holds the base.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from mappings.types import Product
from reranker.evaluation.measures import find_trained_queries, fingerprint_query, select_answerable
from reranker.fusion import Scorer
from reranker.model import CONFIG, QUERY, SCORER, Model, write_config, write_scorer
from reranker.training.datasets.training_data import TrainingData
from reranker.training.distillation.query_encoder import prepare_query_encoder, prepare_small_query_tower
from reranker.training.distillation.towers import Towers, choose_start, collect_texts, make_towers
from reranker.training.encoders.bert import QueryTower
from reranker.training.plan import (
    TrainingPlan,
    TrainReport,
    assign_labels,
    fingerprint_data,
    fingerprint_plan,
)
from reranker.training.run.files import write_atomically
from reranker.training.run.notice import NOTICE, render_notice
from reranker.training.run.progress import ReportStage
from reranker.training.run.run_folder import TrainingRun, open_run
from reranker.training.run.time_plan import limit_steps
from reranker.training.scoring.catalogue_ranker import CatalogueRanker
from reranker.training.scoring.cross_validation import cross_validate
from reranker.training.scoring.examples import make_click_examples, make_graded_examples
from reranker.training.scoring.figures import (
    measure_judged_ndcg,
    measure_judged_queries,
    measure_known_item,
    rank_ids,
)
from reranker.training.scoring.preparation import PreparedScorer, encode_catalogue, prepare_scorer
from reranker.training.scoring.probing import (
    ModelOrigin,
    choose_source,
    measure_probes,
    summarise_probes,
)
from reranker.training.scoring.scorer import train_scorer
from reranker.training.selection import Selection, compute_distillation_seconds, select_data
from reranker.types import Doubles

OUTCOME = "training.json"
"""Beside a start that was kept: the figures of the model that was trained from it and dropped."""

_BASE_LEARNING_RATE, _BASE_WARMUP = 3e-4, 20
"""Learning rate and warm-up where the base's product tower is continued, which has little left to learn."""


def run_training(plan: TrainingPlan, stages: ReportStage) -> TrainReport:
    """Make the plan's model folder, complete or not at all. Continue where the same plan stopped before.

    Raises ModelError where the folder exists already, where another run's work is in the way, and for an
    encoder or base that can't be used. KeyboardInterrupt leaves a checkpoint.
    """
    plan.check()
    with open_run(
        plan.folder, fingerprint_plan(plan), plan.fresh, plan.fresh or plan.replaces, plan.checkpoint_seconds
    ) as run:
        return _Training(plan, run, stages).run_stages()


class _Training:
    """The stages of one run."""

    def __init__(self, plan: TrainingPlan, run: TrainingRun, stages: ReportStage) -> None:
        self._plan, self._run, self._stages = plan, run, stages
        self._base = Model(plan.base) if plan.base else None
        self._labels = assign_labels(plan)
        recipe = plan.recipe.seeded(plan.seed)
        self._encoder = prepare_query_encoder(plan, run, self._base, recipe, stages)
        self._selection = select_data(plan, run, self._base, self._encoder, recipe)
        self._recipe = self._selection.recipe

    def run_stages(self) -> TrainReport:
        plan, run, selection = self._plan, self._run, self._selection
        before = run.decided.get("before") or run.decide("before", self._measure_base(selection))
        data = TrainingData(selection.products, plan.others, plan.pairs, self._labels.graded)
        towers = self._make_towers(data)
        prepared = prepare_scorer(run, data, self._encoder, towers, self._recipe, self._stages)
        dev_ndcg = self._fit_scorer(prepared, towers)
        config = replace(prepared.model.config, origin=self._describe_origin(towers))
        write_config(towers.folder / CONFIG, config)
        model = Model(towers.folder)
        figures: dict[str, Any] = {"product_tower_cosine": prepared.examples.tower_cosine}
        source = ModelOrigin.TRAINED
        if self._base:
            figures["known_item"] = self._measure_known_item(model, prepared, before)
            then, now = np.array(before["probes"]), self._measure_probes(model, prepared)
            families = [probe.family for probe in selection.probes]
            figures["probes"] = summarise_probes(then, now, families)
        if plan.cross_validate:
            figures |= cross_validate(prepared.model, data, prepared.examples, self._recipe.scorer)
        elif plan.judgements:
            figures["judged"] = self._measure_judged(model, dev_ndcg, before)
        if self._base and plan.continues_base and plan.must_gain:
            source = choose_source(then, now, families, self._pair_judged(model, before))
        write_config(towers.folder / CONFIG, replace(config, figures=figures))
        if self._base:
            encoder = plan.query_encoder_label or plan.query_encoder
            named = {"query encoder": encoder, "product encoder": plan.product_encoder}
            note = render_notice(config.origin, {part: source for part, source in named.items() if source})
            (towers.folder / NOTICE).write_text(note, encoding="utf-8")
        made = towers.folder if source is ModelOrigin.TRAINED else self._copy_start(figures)
        version, seconds = Model(made).version, round(run.seconds, 1)
        run.finish(made)
        return TrainReport(
            plan.folder,
            version,
            len(plan.products),
            len(selection.products),
            towers.steps,
            seconds,
            run.resumed,
            figures,
            source is ModelOrigin.START,
        )

    def _copy_start(self, figures: Mapping[str, Any]) -> Path:
        """Copy the base as it is, so that indexes made with it stay valid, and say beside it why."""
        assert self._plan.base is not None
        folder = self._run.work / "start"
        folder.mkdir(exist_ok=True)
        for file in filter(Path.is_file, self._plan.base.iterdir()):
            shutil.copyfile(file, folder / file.name)
        reason = {"kept": "start", "figures": figures}
        (folder / OUTCOME).write_text(json.dumps(reason, indent=2), encoding="utf-8")
        return folder

    def _measure_base(self, selection: Selection) -> dict[str, Any]:
        """Return the base model's figures on this catalogue and on the held-out judged queries."""
        if not self._base:
            return {}
        sample = selection.sample
        encoded = encode_catalogue(self._base, sample, self._stages("base model is measured"))
        known_item = measure_known_item(self._base, sample, encoded, selection.queries)
        ranker = CatalogueRanker(self._base, sample, encoded)
        probes = measure_probes(ranker, selection.probes).tolist()
        figures: dict[str, Any] = {"known_item": known_item, "probes": probes, "judged": {}}
        test = self._labels.test
        # The figure of a base that learnt from these queries would flatter it.
        if not find_trained_queries(self._base.config.origin, test):
            figures["judged"] = measure_judged_queries(self._base, self._plan.products, test)
        return figures

    def _make_towers(self, data: TrainingData) -> Towers:
        plan, recipe = self._plan, self._recipe
        start = choose_start(plan, self._base, self._encoder, recipe)
        # A shop's tower reads the shop's products; other shops' pairs teach its scorer only.
        read = replace(data, pairs=()) if self._base else data
        texts = collect_texts(read, self._encoder, start, recipe)
        steps = plan.steps or recipe.product.steps
        if plan.budget_minutes is not None and plan.steps is None:
            steps = limit_steps(len(texts.readings), recipe.product.batch)
        config = replace(recipe.product, steps=steps)
        if self._base and plan.continues_base:
            config = replace(config, learning_rate=_BASE_LEARNING_RATE, warmup=_BASE_WARMUP)
        small = prepare_small_query_tower(plan, self._run, self._encoder, data, self._stages)
        seconds = compute_distillation_seconds(plan, self._run, self._selection)
        queries_from = None if plan.query_encoder else plan.base
        towers = make_towers(
            self._run,
            self._encoder,
            start,
            texts,
            replace(recipe, product=config),
            seconds,
            self._stages,
            queries_from,
        )
        if small:
            shutil.copyfile(small, towers.folder / QUERY)
        return towers

    def _fit_scorer(self, prepared: PreparedScorer, towers: Towers) -> float | None:
        """Train the scorer and write it. Return dev nDCG@10 where there are answerable dev queries."""
        examples = [*prepared.examples.unjudged, *prepared.examples.graded.values()]
        if self._labels.clicks:
            weight = self._recipe.click_weight
            examples += make_click_examples(prepared.model, prepared.catalogue, self._labels.clicks, weight)
        dev = make_graded_examples(prepared.model, prepared.catalogue, self._labels.dev, 1.0)
        grades = {query: self._labels.dev[query] for query in dev}
        known = {p.id for p in prepared.catalogue.products}

        def watch(scorer: Scorer) -> float:
            rankings = {
                query: rank_ids([i for i in grades[query] if i in known], scorer.probability(example.inputs))
                for query, example in dev.items()
            }
            return measure_judged_ndcg(rankings, grades)

        learning = self._stages("scorer learns")
        watched = watch if select_answerable(grades) else None
        blank = prepared.model.scorer
        if self._base and isinstance(self._encoder, QueryTower):
            # The base's query encoder is unchanged, so cosines mean what they meant there.
            own = self._base.scorer
            blank = replace(blank, anchor=own.anchor, scaling=own.scaling)
        scorer = train_scorer(examples, blank, self._recipe.scorer, watched)
        with write_atomically(towers.folder / SCORER) as unfinished:
            write_scorer(unfinished, scorer, prepared.model.projection)
        learning(1, 1)
        return watch(scorer) if watched else None

    def _describe_origin(self, towers: Towers) -> dict[str, Any]:
        """Return what the config says of the model's origin. Nothing in it depends on the time."""
        plan, inherited = self._plan, self._base.config.origin if self._base else {}
        query_encoder = plan.query_encoder or inherited.get("query_encoder")
        label = plan.query_encoder_label or plan.query_encoder or inherited.get("query_tower", "")
        earlier = inherited.get("trained_queries", ()) if plan.continues_base else ()
        return {
            "query_tower": label,
            **({"query_encoder": query_encoder} if query_encoder and not plan.query_encoder_label else {}),
            **({"product_encoder": plan.product_encoder} if plan.product_encoder else {}),
            **({"small_query": asdict(plan.small_query)} if plan.small_query else {}),
            **({"base": self._base.version} if self._base else {}),
            "sources": dict(plan.sources),
            "data": fingerprint_data(plan),
            "products": len(plan.products),
            "learnt_from": len(self._selection.products),
            "steps": towers.steps,
            "seed": plan.seed,
            "recipe": asdict(self._recipe),
            "trained_queries": sorted({*earlier, *map(fingerprint_query, self._labels.queries)}),
        }

    def _measure_known_item(
        self, model: Model, prepared: PreparedScorer, before: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return how often made queries find their product, by the base and by the new model."""
        sample: Sequence[Product] = self._selection.sample
        catalogue = prepared.catalogue
        encoded = {p.id: e for p, e in zip(catalogue.products, catalogue.encoded, strict=True)}
        queries = self._selection.queries
        return {
            "queries": len(queries),
            "products": len(sample),
            "before": before["known_item"],
            "after": measure_known_item(model, sample, [encoded[p.id] for p in sample], queries),
        }

    def _measure_judged(
        self, model: Model, dev_ndcg: float | None, before: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the figures on judged queries. Those reported as `test` had no part in training."""
        labels = self._labels
        figures: dict[str, Any] = {
            "queries": {"train": len(labels.graded), "dev": len(labels.dev), "test": len(labels.test)}
        }
        if dev_ndcg is not None:
            figures["dev_ndcg@10"] = round(dev_ndcg, 4)
        after = measure_judged_queries(model, self._plan.products, labels.test)
        if after:
            then = before.get("judged")
            figures["test_ndcg@10"] = round(float(np.mean(list(after.values()))), 4)
            figures["test_ndcg@10_before"] = round(float(np.mean(list(then.values()))), 4) if then else None
        return figures

    def _measure_probes(self, model: Model, prepared: PreparedScorer) -> Doubles:
        sample, catalogue = self._selection.sample, prepared.catalogue
        encoded = {p.id: e for p, e in zip(catalogue.products, catalogue.encoded, strict=True)}
        ranker = CatalogueRanker(model, sample, [encoded[p.id] for p in sample])
        return measure_probes(ranker, self._selection.probes)

    def _pair_judged(self, model: Model, before: Mapping[str, Any]) -> tuple[list[float], list[float]]:
        """Return nDCG@10 of the judged queries that neither the base nor the model learnt from."""
        then = before["judged"]
        now = measure_judged_queries(model, self._plan.products, self._labels.test) if then else {}
        return list(then.values()), [now[query] for query in then]

"""One training run for one shop: from its catalogue, and what labels there are, to a model folder.

The stages, each of which goes on where an earlier process stopped: measure what this machine can do and what
the base model makes of the catalogue; let the teacher read the products; distil the product tower; export;
encode the catalogue; make the scorer's examples; train the scorer; measure; give the folder its name.
"""

import hashlib
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from mappings.errors import ModelError
from mappings.types import Judgement, Product
from reranker.evaluation.judgements import assign_side, split_by_query
from reranker.evaluation.measures import (
    find_trained_queries,
    fingerprint_query,
    group_by_query,
    select_answerable,
)
from reranker.fusion import Scorer
from reranker.model import CONFIG, QUERY, SCORER, Model, write_config, write_scorer
from reranker.text.product_text import build_product_text
from reranker.training.clicks.click_labels import ClickEvidence
from reranker.training.datasets.synthetic_queries import make_queries
from reranker.training.distillation.disk_cache import ignore_progress
from reranker.training.distillation.small_query import SmallQueryConfig, reduce_query_encoder
from reranker.training.distillation.teacher import compute_product_states, tokenise_readings
from reranker.training.distillation.towers import (
    Stages,
    Towers,
    make_towers,
    start_from_base,
    start_from_encoder,
)
from reranker.training.encoders.bert import Bert, Encoder, QueryTower, locate_minilm
from reranker.training.encoders.export import export_query_tower
from reranker.training.encoders.scratch_bert import NEW, train_small_bert
from reranker.training.run.device import choose_device
from reranker.training.run.files import write_atomically
from reranker.training.run.notice import NOTICE, render_notice
from reranker.training.run.run_folder import TrainingRun, open_run
from reranker.training.run.time_plan import (
    SAMPLE_PRODUCTS,
    MachineSpeed,
    draw_rows,
    estimate_seconds_after,
    limit_queries,
    limit_steps,
    select_rows,
)
from reranker.training.scoring.examples import make_click_examples, make_graded_examples
from reranker.training.scoring.figures import (
    hold_out_queries,
    measure_judged_ndcg,
    measure_judged_pool,
    measure_known_item,
    rank_ids,
)
from reranker.training.scoring.scorer import train_scorer
from reranker.training.shipped_recipe import (
    Prepared,
    Recipe,
    TrainingData,
    encode_all,
    prepare_scorer,
    texts_of,
)

TRIAL_PRODUCTS = 96
"""Products that tell how fast this machine is."""

TRIAL_QUERIES = 20
HELD_QUERIES = 200

SMALL_QUERIES = 8000
"""Made queries that a query tower of fewer layers learns from."""

MORE_RATE, MORE_WARMUP = 3e-4, 20
"""Learning rate and warm-up where the product tower is taken over, so has little to learn."""


@dataclass(frozen=True)
class TrainJob:
    """What to train, from what, and for how long.

    `base` is the model folder that training goes on from. `query_encoder` and `product_encoder` are encoders
    of the hub's format to start from instead. `small_query` asks for a query tower of fewer layers. `pairs`
    are (query, product, probability of relevance) of any shop: they teach the scorer what a probability is.
    `steps` are distillation's, instead of what `budget_minutes` allow: the same steps and seed make the same
    model. `sources` names for people what the data came from.
    """

    folder: Path
    products: Sequence[Product]
    base: Path
    judgements: Sequence[Judgement] = ()
    clicks: Sequence[ClickEvidence] = ()
    pairs: Sequence[tuple[str, Product, float]] = ()
    query_encoder: str | None = None
    product_encoder: str | None = None
    small_query: SmallQueryConfig | None = None
    budget_minutes: float = 20.0
    steps: int | None = None
    seed: int = 7
    fresh: bool = False
    recipe: Recipe = field(default_factory=Recipe)
    sources: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainReport:
    """What a run made. `select_rows` is how many of the `products` there was time to learn from."""

    folder: Path
    model: str
    products: int
    learnt: int
    steps: int
    seconds: float
    resumed: bool
    figures: Mapping[str, Any]


def run_train_job(job: TrainJob, stages: Stages) -> TrainReport:
    """Make the model folder, complete or not at all; go on where the same job stopped before.

    Raises ModelError where the folder is there already, where another job's work is in the way, and for an
    encoder or base that can't be used. KeyboardInterrupt leaves a checkpoint.
    """
    if not job.products:
        raise ModelError("a catalogue without products teaches nothing")
    with open_run(job.folder, identity(job), job.fresh, replace=job.fresh) as run:
        return _Training(job, run, stages).report()


def identity(job: TrainJob) -> dict[str, Any]:
    """Return what tells this job from others: JSON's types only, data as fingerprints."""
    return {
        "catalogue": fingerprint(job.products),
        "judgements": fingerprint(job.judgements),
        "clicks": fingerprint(job.clicks),
        "pairs": fingerprint(job.pairs),
        "base": Model(job.base).version,
        "query encoder": job.query_encoder,
        "product encoder": job.product_encoder,
        "query tower": asdict(job.small_query) if job.small_query else None,
        "budget": job.budget_minutes,
        "number of steps": job.steps,
        "seed": job.seed,
        "recipe": fingerprint([job.recipe]),
    }


def fingerprint(records: Sequence[object]) -> str:
    """Return 16 hex digits of SHA-256 over records, in their order; their reprs tell all of frozen ones."""
    whole = hashlib.sha256()
    for record in records:
        whole.update(repr(record).encode())
    return whole.hexdigest()[:16]


class _Training:
    """A job's stages, one after another."""

    def __init__(self, job: TrainJob, run: TrainingRun, stages: Stages) -> None:
        self._job, self._run, self._stages = job, run, stages
        self._base = Model(job.base)
        self._takes_over = not (job.query_encoder or job.product_encoder)
        self._bert = self._query_encoder()
        split = split_by_query(job.judgements)
        self._graded, self._dev, self._test = map(group_by_query, (split.train, split.dev, split.test))
        self._clicks = [found for found in job.clicks if assign_side(found.query) == "train"]
        self._recipe = replace(
            job.recipe,
            product_source=job.product_encoder,
            soft=replace(job.recipe.soft, seed=job.seed),
            scorer=replace(job.recipe.scorer, seed=job.seed),
        )

    def _query_encoder(self) -> Encoder:
        named = self._job.query_encoder
        if not named:
            return QueryTower(self._base)
        bert = Bert(self._own_encoder() if named == NEW else named)
        bert.network.to(choose_device())
        return bert

    def _own_encoder(self) -> Path:
        """Make a query encoder of the catalogue itself, once a run."""
        folder = self._run.work / "query_encoder"
        if not (folder / "tokenizer.json").is_file():  # it is written last
            config = replace(self._job.recipe.scratch, seed=self._job.seed)
            train_small_bert(
                self._job.products, folder, config, self._stages("query encoder learns the catalogue")
            )
        return folder

    def report(self) -> TrainReport:
        """Run every stage and give the folder its name."""
        job, run = self._job, self._run
        rows = draw_rows(job.products, self._labelled(), job.seed)
        sample = [job.products[row] for row in sorted(rows[:SAMPLE_PRODUCTS])]
        pace = MachineSpeed(**(run.decided.get("pace") or run.decide("pace", asdict(self._pace(sample)))))
        timely = select_rows(rows, pace, 60 * job.budget_minutes) if job.steps is None else sorted(rows)
        main = [job.products[row] for row in timely]
        if job.steps is None:
            most = limit_queries(pace, len(main), 60 * job.budget_minutes)
            soft = replace(self._recipe.soft, queries=min(self._recipe.soft.queries, most))
            self._recipe = replace(self._recipe, soft=soft)
        queries = self._held_queries(main, sample)
        before = run.decided.get("before") or run.decide("before", self._before(sample, queries))
        data = TrainingData(main, (), job.pairs, self._graded)
        towers = self._towers(data, pace)
        prepared = prepare_scorer(run, data, self._bert, towers, self._recipe, self._stages)
        dev_ndcg = self._fit(prepared, towers)
        config = replace(prepared.model.config, origin=self._origin(main, towers))
        write_config(towers.folder / CONFIG, config)
        model = Model(towers.folder)
        encoded_of = {p.id: e for p, e in zip(main, prepared.catalogue.encoded, strict=True)}
        after = measure_known_item(model, sample, [encoded_of[p.id] for p in sample], queries)
        figures = {
            "product_tower_cosine": prepared.examples.tower_cosine,
            "known_item": {
                "queries": len(queries),
                "products": len(sample),
                "before": before["known_item"],
                "after": after,
            },
        }
        if job.judgements:
            figures["judged"] = self._judged(model, dev_ndcg)
        write_config(towers.folder / CONFIG, replace(config, figures=figures))
        note = render_notice(config.origin, self._encoders())
        (towers.folder / NOTICE).write_text(note, encoding="utf-8")
        version, seconds = Model(towers.folder).version, round(run.seconds, 1)
        run.finish(towers.folder)
        return TrainReport(
            job.folder, version, len(job.products), len(main), towers.steps, seconds, run.resumed, figures
        )

    def _labelled(self) -> list[str]:
        judged = [found.product_id for found in self._job.judgements]
        return judged + [found.product_id for found in self._job.clicks]

    def _encoders(self) -> dict[str, str]:
        named = {"query encoder": self._job.query_encoder, "product encoder": self._job.product_encoder}
        return {part: source for part, source in named.items() if source}

    def _pace(self, sample: Sequence[Product]) -> MachineSpeed:
        trial = sample[:TRIAL_PRODUCTS]
        texts = [build_product_text(p) for p in trial]
        began = time.monotonic()
        compute_product_states(
            self._bert,
            tokenise_readings(self._bert, self._bert.tokenizer, texts, self._recipe.product_tokens),
            ignore_progress,
        )
        read = time.monotonic()
        encoded = self._base.encode_products(trial)
        ready = time.monotonic()
        queries = hold_out_queries(trial, (), self._job.seed, TRIAL_QUERIES)
        measure_known_item(self._base, trial, encoded, queries)
        searched = time.monotonic()
        return MachineSpeed(
            round(len(trial) / (read - began), 2),
            round(len(trial) / (ready - read), 2),
            round(len(queries) / (searched - ready), 2),
        )

    def _held_queries(self, main: Sequence[Product], sample: Sequence[Product]) -> dict[str, Product]:
        """Return made queries that the scorer does not learn from."""
        soft = self._recipe.soft
        learnt_from = [text for text, _ in make_queries(main, soft.queries, soft.seed)]
        return hold_out_queries(sample, learnt_from, self._job.seed, HELD_QUERIES)

    def _before(self, sample: Sequence[Product], queries: Mapping[str, Product]) -> dict[str, Any]:
        """Return what the base model makes of this catalogue, and of the judged queries held back."""
        encoded = encode_all(self._base, sample, self._stages("base model is measured"))
        found: dict[str, Any] = {"known_item": measure_known_item(self._base, sample, encoded, queries)}
        if select_answerable(self._test):
            trained = find_trained_queries(self._base.config.origin, self._test)
            # A base that learnt from them already would shine.
            found["test_ndcg@10"] = (
                None if trained else measure_judged_pool(self._base, self._job.products, self._test)
            )
        return found

    def _towers(self, data: TrainingData, pace: MachineSpeed) -> Towers:
        job, recipe = self._job, self._recipe
        if self._takes_over:
            start = start_from_base(self._base, self._bert)
        else:
            start = start_from_encoder(self._bert, job.product_encoder, recipe.product_tokens)
        texts = texts_of(replace(data, pairs=()), self._bert, start, recipe)
        steps = job.steps or limit_steps(len(texts.readings), recipe.distil.batch)
        config = replace(recipe.distil, steps=steps, seed=job.seed)
        if self._takes_over:
            config = replace(config, learning_rate=MORE_RATE, warmup=MORE_WARMUP)
        small = self._small_query_tower(data)
        left = None
        if job.steps is None:
            after = estimate_seconds_after(pace, len(data.main), recipe.soft.queries)
            left = max(0.0, 60 * job.budget_minutes - self._run.seconds - after)
        base = None if job.query_encoder else job.base
        towers = make_towers(self._run, self._bert, start, texts, config, left, self._stages, base)
        if small:
            shutil.copyfile(small, towers.folder / QUERY)
        return towers

    def _small_query_tower(self, data: TrainingData) -> Path | None:
        """Make a query tower of fewer layers where the job asks for one, once a run."""
        job, file = self._job, self._run.work / "small_query.onnx"
        if not job.small_query:
            return None
        if not file.is_file():
            made = [query for query, _ in make_queries(data.main, SMALL_QUERIES, job.seed)]
            asked = [*made, *(query for query, _, _ in job.pairs), *self._graded]
            learning = self._stages("small query tower learns")
            # The base's encoder has no torch weights to begin with; the one that it was tuned from has.
            start = self._bert if isinstance(self._bert, Bert) else Bert(locate_minilm())
            small = reduce_query_encoder(start, asked, job.small_query, learning, self._bert)
            with write_atomically(file) as unfinished:
                export_query_tower(small, unfinished)
        return file

    def _fit(self, prepared: Prepared, towers: Towers) -> float | None:
        """Train the scorer and write it; return dev nDCG@10, which told when to stop, where there is one."""
        examples = [*prepared.examples.unjudged, *prepared.examples.graded.values()]
        if self._clicks:
            weight = self._recipe.click_weight
            examples += make_click_examples(prepared.model, prepared.catalogue, self._clicks, weight)
        dev = make_graded_examples(prepared.model, prepared.catalogue, self._dev, 1.0)
        grades = {query: self._dev[query] for query in dev}
        learning = self._stages("scorer learns")
        known = {p.id for p in prepared.catalogue.products}

        def watch(scorer: Scorer) -> float:
            rankings = {
                query: rank_ids([i for i in grades[query] if i in known], scorer.probability(example.inputs))
                for query, example in dev.items()
            }
            return measure_judged_ndcg(rankings, grades)

        watched = watch if select_answerable(grades) else None
        blank = prepared.model.scorer
        if isinstance(self._bert, QueryTower):  # the base's query encoder: cosines mean what they meant there
            blank = replace(blank, anchor=self._base.scorer.anchor)
        scorer = train_scorer(examples, blank, self._recipe.scorer, watched)
        with write_atomically(towers.folder / SCORER) as unfinished:
            write_scorer(unfinished, scorer, prepared.model.projection)
        learning(1, 1)
        return watch(scorer) if watched else None

    def _origin(self, main: Sequence[Product], towers: Towers) -> dict[str, Any]:
        """Return what the config says of where the model comes from; nothing in it tells the time."""
        job, inherited = self._job, self._base.config.origin
        judged = {*self._graded, *self._dev, *(found.query for found in self._clicks)}
        earlier = inherited.get("trained_queries", ()) if self._takes_over else ()
        named = job.query_encoder or inherited.get("query_tower", "")
        kept = inherited.get("query_encoder") if not job.query_encoder else job.query_encoder
        return {
            "query_tower": named,
            **({"query_encoder": kept} if kept else {}),
            **({"product_encoder": job.product_encoder} if job.product_encoder else {}),
            **({"small_query": asdict(job.small_query)} if job.small_query else {}),
            "base": self._base.version,
            "sources": dict(job.sources),
            "data": {
                name: value
                for name, value in identity(job).items()
                if name in ("catalogue", "judgements", "clicks", "pairs")
            },
            "products": len(job.products),
            "learnt_from": len(main),
            "steps": towers.steps,
            "seed": job.seed,
            "recipe": asdict(self._recipe),
            "trained_queries": sorted({*earlier, *map(fingerprint_query, judged)}),
        }

    def _judged(self, model: Model, dev_ndcg: float | None) -> dict[str, Any]:
        """Return the figures on judged queries; those reported as `test` had no part in training."""
        figures: dict[str, Any] = {
            "queries": {"train": len(self._graded), "dev": len(self._dev), "test": len(self._test)}
        }
        if dev_ndcg is not None:
            figures["dev_ndcg@10"] = round(dev_ndcg, 4)
        if select_answerable(self._test):
            figures["test_ndcg@10"] = measure_judged_pool(model, self._job.products, self._test)
            figures["test_ndcg@10_before"] = self._run.decided["before"]["test_ndcg@10"]
        return figures

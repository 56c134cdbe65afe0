import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mappings.errors import ModelError
from mappings.types import Judgement, Product
from reranker.evaluation.judgements import assign_side
from reranker.evaluation.measures import fingerprint_query
from reranker.model import QUERY, load_model, locate_shipped_model, read_config
from reranker.training.clicks.click_labels import ClickEvidence
from reranker.training.pipeline import OUTCOME, run_training
from reranker.training.plan import TrainingPlan
from reranker.training.recipe import DistillationConfig, Recipe, ScorerConfig, SmallQueryConfig, SoftConfig
from reranker.training.run.progress import ReportProgress
from reranker.training.run.run_folder import locate_partial_work

RECIPE = Recipe(
    product=DistillationConfig(batch=8, warmup=2, learning_rate=2e-3),
    soft=SoftConfig(queries=20),
    scorer=ScorerConfig(epochs=2),
    token_width=16,
    product_tokens=32,
)
LEARNING = "product tower learns"


class Stages:
    """Notes the stages that reported; `at` is called with each report."""

    def __init__(self) -> None:
        self.seen: dict[str, int] = {}

    def __call__(self, stage: str) -> ReportProgress:
        def report(done: int, total: int) -> None:
            assert 0 < done <= total
            self.seen[stage] = self.seen.get(stage, 0) + 1
            self.at(stage, done)

        return report

    def at(self, stage: str, done: int) -> None:
        """Nothing, where nothing is to happen."""


class Disturbed(Stages):
    """Raises a signal, or an error, at a step of distillation."""

    def __init__(self, step: int, error: BaseException | None = None) -> None:
        super().__init__()
        self._step, self._error = step, error

    def at(self, stage: str, done: int) -> None:
        if stage == LEARNING and done == self._step:
            if self._error:
                raise self._error
            signal.raise_signal(signal.SIGINT)


@pytest.fixture(scope="module")
def judgements(products: list[Product]) -> list[Judgement]:
    queries = {
        f"{word} {noun}": noun for word in ("red", "acme", "", "new", "best") for noun in ("mouse", "toner")
    }
    return [
        Judgement(query.strip(), p.id, 3 if p.category == noun else 0)
        for query, noun in queries.items()
        for p in products[::5]
    ]


@pytest.fixture(scope="module")
def job(
    tiny_bert: Path,
    products: list[Product],
    judgements: list[Judgement],
    tmp_path_factory: pytest.TempPathFactory,
) -> TrainingPlan:
    clicks = [
        ClickEvidence(query, p.id, 0.5 if p.category == "laptop" else 0.01, float("nan"), 40.0)
        for query in ("laptop", "notebook", "computer")
        for p in products[::7]
    ]
    return TrainingPlan(
        folder=tmp_path_factory.mktemp("jobs") / "model",
        products=products,
        base=locate_shipped_model(),
        judgements=judgements,
        clicks=clicks,
        pairs=[("red mouse", products[0], 1.0), ("toner", products[1], 0.0)],
        query_encoder=str(tiny_bert),
        steps=12,
        recipe=RECIPE,
        sources={"catalogue": "shop.csv"},
    )


@pytest.fixture(scope="module")
def made(job: TrainingPlan) -> str:
    """Version of the model that `job` makes undisturbed, in `job.folder`."""
    return run_training(job, Stages()).model


def test_the_folder_is_a_model_with_its_origin_and_figures(
    job: TrainingPlan, made: str, products: list[Product], judgements: list[Judgement]
) -> None:
    model = load_model(job.folder)
    assert model.version == made
    query = model.encode_query("red mouse")
    scores = model.score(query, [e.stored for e in model.encode_products(products)])
    assert np.isfinite(scores).all()
    origin, figures = model.config.origin, model.config.figures
    assert (origin["steps"], origin["seed"], origin["sources"]) == (12, 7, {"catalogue": "shop.csv"})
    asked = {j.query for j in judgements}
    assert {fingerprint_query(q) for q in asked if assign_side(q) != "test"} <= set(origin["trained_queries"])
    assert not {fingerprint_query(q) for q in asked if assign_side(q) == "test"} & set(
        origin["trained_queries"]
    )
    assert 0 <= figures["known_item"]["before"]["recall@10"] <= 1
    assert 0 <= figures["judged"]["test_ndcg@10"] <= 1
    assert not locate_partial_work(job.folder).exists()
    assert "its own licence applies" in (job.folder / "NOTICE.txt").read_text(encoding="utf-8")


def test_ctrl_c_keeps_every_step_and_the_same_job_ends_with_the_same_model(
    job: TrainingPlan, made: str, tmp_path: Path
) -> None:
    again = replace(job, folder=tmp_path / "model")
    with pytest.raises(KeyboardInterrupt):
        run_training(again, Disturbed(5))
    assert not again.folder.exists()
    stages = Stages()
    report = run_training(again, stages)
    assert (report.model, report.resumed) == (made, True)
    assert stages.seen[LEARNING] == 7
    assert "teacher reads the products" not in stages.seen


def test_a_run_that_is_killed_goes_on_from_its_last_checkpoint(
    job: TrainingPlan, made: str, tmp_path: Path
) -> None:
    again = replace(job, folder=tmp_path / "model", checkpoint_seconds=0.0)
    with pytest.raises(SystemExit):
        run_training(again, Disturbed(9, SystemExit()))
    stages = Stages()
    assert run_training(again, stages).model == made
    assert stages.seen[LEARNING] == 4


def test_other_work_in_the_way_is_refused_and_fresh_forgets_it(job: TrainingPlan, tmp_path: Path) -> None:
    again = replace(job, folder=tmp_path / "model")
    with pytest.raises(KeyboardInterrupt):
        run_training(again, Disturbed(2))
    with pytest.raises(ModelError, match=r"another seed.*--fresh"):
        run_training(replace(again, seed=8), Stages())
    with pytest.raises(KeyboardInterrupt):
        run_training(replace(again, seed=8, fresh=True), Disturbed(2))


def test_a_finished_folder_is_refused_but_for_fresh(job: TrainingPlan, made: str) -> None:
    before = (job.folder / "config.json").read_bytes()
    with pytest.raises(ModelError, match="is there already"):
        run_training(job, Stages())
    with pytest.raises(KeyboardInterrupt):
        run_training(replace(job, fresh=True), Disturbed(2))
    assert (job.folder / "config.json").read_bytes() == before
    shutil.rmtree(locate_partial_work(job.folder))


def test_training_goes_on_from_a_model_folder(job: TrainingPlan, made: str, tmp_path: Path) -> None:
    more = replace(job, folder=tmp_path / "more", base=job.folder, query_encoder=None, judgements=())
    more = replace(more, must_gain=False)
    assert not run_training(more, Stages()).kept_start
    first, second = read_config(job.folder / "config.json"), read_config(more.folder / "config.json")
    assert second.origin["base"] == made
    assert set(first.origin["trained_queries"]) <= set(second.origin["trained_queries"])
    assert second.figures["product_tower_cosine"] >= first.figures["product_tower_cosine"] - 0.01
    assert (more.folder / "query.onnx").read_bytes() == (job.folder / "query.onnx").read_bytes()


def test_a_model_that_gains_nothing_leaves_the_start_in_the_folder(
    job: TrainingPlan, made: str, tmp_path: Path
) -> None:
    idle = Recipe(
        product=DistillationConfig(batch=8, warmup=2, learning_rate=1e-12),
        soft=SoftConfig(queries=20),
        scorer=ScorerConfig(epochs=1, learning_rate=1e-12),
        token_width=16,
        product_tokens=32,
    )
    more = replace(job, folder=tmp_path / "more", base=job.folder, query_encoder=None, recipe=idle, steps=2)
    more = replace(more, judgements=(), clicks=())
    report = run_training(more, Stages())
    assert (report.kept_start, report.model, load_model(more.folder).version) == (True, made, made)
    outcome = json.loads((more.folder / OUTCOME).read_text(encoding="utf-8"))
    assert outcome["figures"]["probes"]["queries"] > 20


def test_the_budget_is_kept(job: TrainingPlan, tmp_path: Path) -> None:
    short = replace(job, folder=tmp_path / "model", steps=None, budget_minutes=1e-6)
    report = run_training(short, Stages())
    assert 0 < report.steps < 30


def test_a_smaller_query_tower_is_made_where_asked_for(job: TrainingPlan, made: str, tmp_path: Path) -> None:
    one = SmallQueryConfig(1, distil=DistillationConfig(steps=20, batch=8, warmup=2, learning_rate=2e-3))
    stages = Stages()
    smaller = replace(job, folder=tmp_path / "small", small_query=one)
    assert run_training(smaller, stages).model != made
    assert stages.seen["small query tower learns"] == 20
    sizes = [(folder / QUERY).stat().st_size for folder in (smaller.folder, job.folder)]
    assert sizes[0] < sizes[1]
    model, whole = load_model(smaller.folder), load_model(job.folder)
    assert model.config.origin["small_query"]["layers"] == 1
    assert model.encode_query("red mouse").vector @ whole.encode_query("red mouse").vector > 0.5

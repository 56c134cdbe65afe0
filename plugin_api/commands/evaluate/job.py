"""One `attune evaluate`, from judgements to figures: who ranks, what is measured, what is left out."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from opensearchpy import OpenSearch

from mappings.client import check_cluster, connect
from mappings.errors import EvaluationError, ModelMismatch
from mappings.settings import Settings
from mappings.types import Judgement
from plugin_api.commands.evaluate.article_recipe import run_article_recipe
from plugin_api.commands.evaluate.runs import (
    Advance,
    Ask,
    Searching,
    check_version,
    fetch_judged_products,
    look_up_index,
    rank_queries,
)
from plugin_api.commands.evaluate.systems import SECOND, SHOP, SYSTEMS
from plugin_api.commands.index.models import model_folders
from plugin_api.commands.searched_index import IndexFacts, open_searched_index, read_template
from plugin_api.terminal import format_count
from reranker.evaluation.comparison import (
    Evaluation,
    JudgementPool,
    RankedList,
    System,
    SystemRun,
    compare_runs,
    pool_judgements,
)
from reranker.evaluation.interleaved_clicks import (
    ClickReport,
    InterleavedSearch,
    read_interleaved_searches,
    report_clicks,
)
from reranker.evaluation.judgements import normalise_query, read_judgements
from reranker.evaluation.losses import QueryKind
from reranker.evaluation.measures import Grades, find_trained_queries, group_by_query
from reranker.evaluation.trec import read_qrels, read_queries, read_run
from reranker.mixed_model import AnyModel, MixedModel
from reranker.model import Model

Working = Callable[[str, int], AbstractContextManager[Advance]]
"""Name and size of a piece of work → where its progress is shown."""

_SHOP_LABEL = "The shop's own search"


@dataclass(frozen=True, slots=True)
class EvaluationJob:
    """What to measure. One of `judgements` (CSV) and `qrels` (TREC) is given.

    `systems` are names of SYSTEMS, none where no index is to be searched. `second` is another model's folder
    and the alias of its index. `runs` maps names to TREC run files. `query_template` is a file of the shop's
    own query, which BM25 and Attune then start from. `interleaved` is a log of clicks on interleaved
    rankings.
    """

    judgements: Path | None
    qrels: Path | None
    queries: Path | None
    systems: Sequence[str]
    alias: str
    model: Path | None
    second: tuple[Path, str] | None
    runs: Mapping[str, Path]
    threshold: float
    depth: int
    held_out: bool
    query_template: Path | None = None
    interleaved: Path | None = None


@dataclass(frozen=True, slots=True)
class _Measured:
    """The runs over an index, what they are measured by, the kinds of queries, and what clicks say."""

    judged: JudgementPool
    runs: list[SystemRun]
    kinds: Mapping[str, QueryKind] = field(default_factory=dict)
    clicks: ClickReport | None = None


def run_evaluation(job: EvaluationJob, settings: Settings, working: Working) -> Evaluation:
    """Rank, measure and compare.

    Raises LabelsError and EvaluationError for files, ClusterDown, ModelMismatch and ModelError for index and
    model.
    """
    notes: list[str] = []
    texts = read_queries(job.queries) if job.queries else {}
    grades = _grades(job, texts, notes)
    files = {name: read_run(path, texts) for name, path in job.runs.items()}
    searches = read_interleaved_searches(job.interleaved) if job.interleaved else []
    if job.systems:
        measured = _from_index(job, settings, grades, searches, notes, working)
    else:
        clicks = report_clicks(searches) if searches else None
        measured = _Measured(pool_judgements(grades, None), [], clicks=clicks)
    judged, runs = measured.judged, measured.runs
    runs += [_from_file(name, ranking, judged, job, notes) for name, ranking in files.items()]
    return Evaluation(
        judgements=str(job.judgements or job.qrels),
        index=job.alias if job.systems else "",
        judged=judged,
        threshold=job.threshold,
        depth=job.depth,
        protocols=compare_runs(runs, judged, job.threshold, measured.kinds),
        clicks=measured.clicks,
        notes=(*_trained(runs, judged), *_left_out(judged), *notes),
    )


def _grades(job: EvaluationJob, texts: Mapping[str, str], notes: list[str]) -> dict[str, Grades]:
    judgements: Sequence[Judgement]
    if job.judgements:
        judgements = read_judgements(job.judgements, notes.append)
    elif job.qrels:
        judgements = read_qrels(job.qrels, texts)
    else:
        raise EvaluationError("nothing to measure by: give judgements or qrels")
    return dict(group_by_query(judgements))


@dataclass(frozen=True, slots=True)
class _Ranker:
    """A model, the alias of its index, and the judged queries that it was trained on."""

    label: str
    model: AnyModel
    alias: str
    trained: frozenset[str]


def _from_index(
    job: EvaluationJob,
    settings: Settings,
    grades: Mapping[str, Grades],
    searches: Sequence[InterleavedSearch],
    notes: list[str],
    working: Working,
) -> _Measured:
    client = connect(settings.opensearch)
    check_cluster(client, settings.opensearch)
    rankers = _rankers(job, settings, client, grades)
    first = rankers[0]
    if job.held_out:
        grades = _held_out(rankers, grades, notes)
    template = read_template(job.query_template) if job.query_template else None
    searched = open_searched_index(client, job.alias, template)
    ids = sorted({i for query_grades in grades.values() for i in query_grades})
    products = fetch_judged_products(client, job.alias, ids, searched)
    judged = pool_judgements(grades, products, look_up_index(client, job.alias).products)
    widest = max(map(len, judged.grades.values()))
    searching = Searching(client, first.alias, first.model, settings, searched.make_query)
    wide = searching.widened(widest)
    asks: dict[System, tuple[Ask, Ask]] = {}
    without_asks = {"article"} if searched.has_own_fields else {"article", "bm25-plain"}
    for name in (name for name in SYSTEMS if name in job.systems and name not in without_asks):
        trained = first.trained if name == "attune" else frozenset[str]()
        version = "" if name.startswith("bm25") else first.model.version
        label = _SHOP_LABEL if name == SHOP and job.query_template else SYSTEMS[name]
        asks[System(name, label, version, trained)] = (searching.ask(name), wide.ask(name))
    for other in rankers[1:]:
        make_query = open_searched_index(client, other.alias, template).make_query
        beside = Searching(client, other.alias, other.model, settings, make_query)
        system = System(SECOND, other.label, other.model.version, other.trained)
        asks[system] = (beside.attune, beside.widened(widest).attune)
    runs: list[SystemRun] = []
    if asks:
        with working("searching", len(judged.grades)) as advance:
            runs = rank_queries(asks, judged.grades, job.depth, advance)
    model = first.model
    if "article" in job.systems and isinstance(model, MixedModel):
        notes.append("the article recipe is left out: it is for one model, and the index has two")
    elif "article" in job.systems and isinstance(model, Model):
        with working("article recipe", len(judged.grades)) as advance:
            windows = searching.windows(judged.grades, advance)
        texts = {**products, **fetch_judged_products(client, job.alias, _new(windows, products), searched)}
        try:
            runs.append(run_article_recipe(model, judged.grades, windows, texts))
        except ModuleNotFoundError as error:
            why = f"it is trained, which needs {error.name}: pip install 'attune[train]'"
            notes.append(f"the article recipe is left out: {why}")
    kinds = searching.list_kinds(dict.fromkeys([*judged.counted, *(search.query for search in searches)]))
    clicks = report_clicks(searches, lambda text: kinds.get(text) or QueryKind.of(text)) if searches else None
    return _Measured(judged, runs, kinds, clicks)


def _rankers(
    job: EvaluationJob, settings: Settings, client: OpenSearch, queries: Iterable[str]
) -> list[_Ranker]:
    """Load the models. Raises ModelMismatch where an index was made with another."""
    named = [(SYSTEMS["attune"], job.model, job.alias)]
    if job.second:
        named.append((f"Second model ({job.second[0].name})", *job.second))
    queries, rankers = list(queries), []
    for label, folder, alias in named:
        facts = look_up_index(client, alias)
        model = _find_model(folder, settings, facts)
        check_version(facts, alias, model)
        trained = frozenset(find_trained_queries(model.config.origin, queries))
        rankers.append(_Ranker(label, model, alias, trained))
    return rankers


def _find_model(folder: Path | None, settings: Settings, facts: IndexFacts) -> AnyModel:
    """Return the model in `folder`, or for None the one that made the index, or else the default one."""
    folders = model_folders(folder, settings.model)
    if folder is None and len(facts.models) == 1:
        with suppress(ModelMismatch):
            return folders.find(facts.models[0])
    return folders.current


def _held_out(
    rankers: Sequence[_Ranker], grades: Mapping[str, Grades], notes: list[str]
) -> dict[str, Grades]:
    seen = frozenset[str]().union(*(ranker.trained for ranker in rankers))
    unseen = {query: query_grades for query, query_grades in grades.items() if query not in seen}
    if not unseen:
        raise EvaluationError(
            "the model was trained on every judged query, none is held out: judge others, or drop --held-out"
        )
    notes.append(
        f"left out, because a model was trained on them: {format_count(len(seen), 'query', 'queries')}"
    )
    return unseen


def _new(windows: Mapping[str, Sequence[str]], known: Mapping[str, object]) -> list[str]:
    return sorted({i for window in windows.values() for i in window} - known.keys())


def _from_file(
    name: str,
    rankings: Mapping[str, Sequence[str]],
    judged: JudgementPool,
    job: EvaluationJob,
    notes: list[str],
) -> SystemRun:
    answers = {query: tuple(rankings.get(normalise_query(query), ())) for query in judged.grades}
    absent = sum(not answers[query] for query in judged.counted)
    if absent == len(judged.counted):
        raise EvaluationError(
            f"run {name} ({job.runs[name]}) ranks none of the judged queries: its query ids must be their "
            "texts, or be listed with them in a --queries file"
        )
    if absent:
        notes.append(f"run {name} has no ranking of {format_count(absent, 'query', 'queries')}, counted as 0")
    catalogue = {query: RankedList(ids[: job.depth]) for query, ids in answers.items()}
    return SystemRun(
        System(name, name), catalogue, {query: RankedList(ids) for query, ids in answers.items()}
    )


def _left_out(judged: JudgementPool) -> list[str]:
    unanswered = judged.queries - len(judged.counted)
    notes = []
    if unanswered:
        notes.append(
            f"not counted in a ranking's measures: {unanswered} of "
            f"{format_count(judged.queries, 'judged query', 'judged queries')}, because "
            "no product answers them well"
        )
    if judged.missing:
        notes.append(f"not in the index, and not counted: {format_count(judged.missing, 'judged product')}")
    return notes


def _trained(runs: Sequence[SystemRun], judged: JudgementPool) -> list[str]:
    counts = ((run.system.label, len(run.system.trained & judged.counted.keys())) for run in runs)
    queries = format_count(len(judged.counted), "query", "queries")
    return [
        f"{label} was trained on {number} of these {queries}: its figures flatter it "
        "(--held-out leaves those queries out)"
        for label, number in counts
        if number
    ]

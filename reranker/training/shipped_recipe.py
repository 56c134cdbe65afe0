"""The shipped weights, from beginning to end: distil, export, project, train the scorer, measure, write.

Everything is seeded. On 2 idle cores this takes well under an hour; the distillation is most of it.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from mappings.types import Product
from reranker.encoders.codec import normalise
from reranker.evaluation.measures import GOOD, Grades, fingerprint_query, measure, select_answerable
from reranker.fusion import FEATURES, Scorer
from reranker.model import (
    CONFIG,
    SCORER,
    TOKENIZER,
    Model,
    ModelConfig,
    write_config,
    write_scorer,
)
from reranker.text.product_text import build_product_text
from reranker.training.datasets.bm25 import KeywordIndex
from reranker.training.distillation.disk_cache import cache_encodings
from reranker.training.distillation.product_distillation import DistilConfig
from reranker.training.distillation.query_distillation import (
    QueryDistillationConfig,
    distil_query_encoder,
    draw_distillation_data,
)
from reranker.training.distillation.teacher import TeacherStates
from reranker.training.distillation.towers import (
    Stages,
    StartingPoint,
    Towers,
    TowerTexts,
    collect_tower_texts,
    make_towers,
    start_from_encoder,
)
from reranker.training.encoders.bert import Bert, Encoder
from reranker.training.encoders.scratch_bert import ScratchConfig
from reranker.training.run.files import write_atomically
from reranker.training.run.notice import TUNED_MINILM
from reranker.training.run.run_folder import TrainingRun, open_run
from reranker.training.scoring.article_recipe import ArticlePair, score_by_article_recipe
from reranker.training.scoring.examples import (
    EncodedCatalogue,
    Progress,
    SoftConfig,
    build_idf_table,
    make_graded_examples,
    make_pair_examples,
    make_soft_examples,
)
from reranker.training.scoring.scorer import Example, ScorerConfig, train_scorer
from reranker.types import EncodedProduct, Floats

TEMPERATURE = 0.05
FOLDS = 5

Say = Callable[[str], None]


@dataclass(frozen=True)
class TrainingData:
    """What the weights are made from.

    `main` is the catalogue that judgements speak of; `others` widen what the product tower has read;
    `pairs` are (query, product, probability of relevance).
    """

    main: Sequence[Product]
    others: Sequence[Product]
    pairs: Sequence[tuple[str, Product, float]]
    judgements: Mapping[str, Grades]


@dataclass(frozen=True)
class Recipe:
    """Every number of the training; stamped into the model's config.

    `tune_main` and `tune_others` are the products that the query encoder is tuned on, the queries made of
    them, and their share of the batches.
    """

    tune: QueryDistillationConfig = field(default_factory=QueryDistillationConfig)
    tune_main: tuple[int, int, float] = (8000, 12_000, 0.55)
    tune_others: tuple[int, int, float] = (3000, 2500, 0.12)
    distil: DistilConfig = field(default_factory=DistilConfig)
    soft: SoftConfig = field(default_factory=SoftConfig)
    scorer: ScorerConfig = field(default_factory=ScorerConfig)
    scratch: ScratchConfig = field(default_factory=ScratchConfig)
    product_source: str | None = None
    token_width: int = 128
    product_tokens: int = 96
    stored_tokens: int = 24
    token_bits: int = 1
    graded_weight: float = 4.0
    click_weight: float = 2.0
    pair_weight: float = 0.5
    others_share: float = 0.3
    pairs_share: float = 0.2
    with_attributes_every: int = 3


def make_weights(
    data: TrainingData,
    bert_source: Path,
    folder: Path,
    recipe: Recipe,
    stages: Stages,
    second: Callable[[Path], Path] | None = None,
) -> ModelConfig:
    """Train and write a whole model folder; return its config with the figures it reached.

    The query encoder is that of `bert_source`, tuned by itself and by the one that `second` unpacks into a
    folder, where it is given. A run that was stopped goes on where it was.
    """
    identity = {"weights": asdict(recipe), "products": len(data.main)}
    with open_run(folder, json.loads(json.dumps(identity)), fresh=False, replace=True) as run:
        bert = Bert(_query_encoder(run, data, bert_source, second, recipe, stages))
        start = start_from_encoder(bert, recipe.product_source, recipe.product_tokens)
        texts = texts_of(data, bert, start, recipe)
        made = make_towers(run, bert, start, texts, recipe.distil, None, stages)
        prepared = prepare_scorer(run, data, bert, made, recipe, stages)
        figures = cross_validated(prepared.model, data, prepared.examples, recipe)
        examples = [*prepared.examples.unjudged, *prepared.examples.graded.values()]
        scorer = train_scorer(examples, prepared.model.scorer, recipe.scorer)
        write_scorer(made.folder / SCORER, scorer, prepared.model.projection)
        config = replace(
            prepared.model.config,
            origin={
                "query_tower": TUNED_MINILM,
                "recipe": asdict(recipe),
                "trained_queries": sorted({fingerprint_query(query) for query in data.judgements}),
            },
            figures={"product_tower_cosine": prepared.examples.tower_cosine, **figures},
        )
        write_config(made.folder / CONFIG, config)
        run.finish(made.folder)
    return config


def _query_encoder(
    run: TrainingRun,
    data: TrainingData,
    source: Path,
    second: Callable[[Path], Path] | None,
    recipe: Recipe,
    stages: Stages,
) -> Path:
    """Tune the query encoder, once a run, and return its folder."""
    if second is None:
        return source
    folder = run.work / "query_encoder"
    if not (folder / TOKENIZER).is_file():  # it is written last
        products, queries, share = recipe.tune_main
        others, asked, others_share = recipe.tune_others
        drawn = draw_distillation_data(
            [(data.main, products, queries, share), (data.others, others, asked, others_share)],
            [(query, product) for query, product, _ in data.pairs],
            1 - share - others_share,
            recipe.tune.seed,
        )
        teachers = [Bert(source), Bert(second(run.work))]
        student = distil_query_encoder(
            Bert(source), teachers, drawn, recipe.tune, stages("query encoder learns from two")
        )
        student.network.save_pretrained(folder)
        student.tokenizer.save(str(folder / TOKENIZER))
    return folder


def texts_of(data: TrainingData, bert: Encoder, start: StartingPoint, recipe: Recipe) -> TowerTexts:
    """Return what the product tower reads: `others` and `pairs` have their shares, whatever their numbers."""
    others, paired = recipe.others_share, recipe.pairs_share
    shares = [1.0, others if data.others else 0.0, paired if data.pairs else 0.0]
    shares[0] -= shares[1] + shares[2]
    groups = [data.main, data.others, [product for _, product, _ in data.pairs]]
    return collect_tower_texts(
        bert,
        start.tokenizer,
        list(zip(groups, shares, strict=True)),
        start.tower.positions,
        recipe.with_attributes_every,
        recipe.distil.seed,
    )


@dataclass(frozen=True)
class Prepared:
    """All that the scorer is trained with; `model` has its towers and projection, and a blank scorer."""

    model: Model
    catalogue: EncodedCatalogue
    examples: "Examples"


def prepare_scorer(
    run: TrainingRun, data: TrainingData, bert: Encoder, towers: Towers, recipe: Recipe, stages: Stages
) -> Prepared:
    """Write projection and config beside the towers, encode the catalogue, and make the examples."""
    folder = towers.folder
    if not (folder / SCORER).is_file():
        projection = token_projection(
            towers.states, recipe.token_width, recipe.distil.seed, recipe.token_bits
        )
        none = np.zeros(1, np.float32)
        blank = Scorer(TEMPERATURE, build_idf_table(data.main), none, none, none, none, none, none)
        with write_atomically(folder / SCORER) as unfinished:
            write_scorer(unfinished, blank, projection)
    config = ModelConfig(
        dimension=bert.dimension,
        token_width=min(recipe.token_width, bert.dimension),
        product_tokens=towers.positions,
        stored_tokens=recipe.stored_tokens,
        token_bits=recipe.token_bits,
    )
    write_config(folder / CONFIG, config)
    model = Model(folder)
    encoded = cache_encodings(model, data.main, run.work / "encoded", stages("catalogue is encoded"))
    catalogue = EncodedCatalogue(data.main, encoded, towers.states.states, KeywordIndex(data.main))
    return Prepared(model, catalogue, make_examples(data, bert, catalogue, model, recipe, stages))


@dataclass(frozen=True)
class Examples:
    """The scorer's training examples; `tower_cosine` is the product tower's mean cosine to its teacher."""

    unjudged: Sequence[Example]
    graded: Mapping[str, Example]
    tower_cosine: float


def make_examples(
    data: TrainingData,
    bert: Encoder,
    catalogue: EncodedCatalogue,
    model: Model,
    recipe: Recipe,
    stages: Stages,
) -> Examples:
    """Make every example that the scorer learns from."""
    soft = make_soft_examples(model, bert, catalogue, recipe.soft, stages("queries are made and judged"))
    paired = model.encode_products([product for _, product, _ in data.pairs])
    pairs = make_pair_examples(
        model,
        [(query, p, relevant) for (query, _, relevant), p in zip(data.pairs, paired, strict=True)],
        recipe.pair_weight,
    )
    graded = make_graded_examples(model, catalogue, data.judgements, recipe.graded_weight)
    cosines = [
        e.vector @ normalise(states.astype(np.float32).mean(0))
        for e, states in zip(catalogue.encoded, catalogue.teacher, strict=True)
    ]
    return Examples([*soft, *pairs], graded, round(float(np.mean(cosines)), 4))


def held_out_scorers(blank: Scorer, examples: Examples, config: ScorerConfig) -> dict[str, Scorer]:
    """Return, for each judged query, a scorer that learnt from the others' judgements only (5 folds)."""
    queries = sorted(examples.graded)
    np.random.default_rng(config.seed).shuffle(queries)
    scorers: dict[str, Scorer] = {}
    for fold in range(FOLDS):
        held = queries[fold::FOLDS]
        kept = [example for query, example in examples.graded.items() if query not in held]
        scorer = train_scorer([*examples.unjudged, *kept], blank, config)
        scorers |= dict.fromkeys(held, scorer)
    return scorers


def token_projection(teacher: TeacherStates, width: int, seed: int, bits: int = 8) -> Floats:
    """Return the projection (d, t) that keeps most of the dot products between unit token states.

    The leading right singular vectors of a sample of the teacher's states, uncentred; where one bit of each
    component is to be stored, turned at random, so that each bit tells as much.
    """
    random = np.random.default_rng(seed)
    sample = np.concatenate(
        [
            teacher.states[i]
            for i in random.choice(len(teacher.states), min(2000, len(teacher.states)), replace=False)
        ]
    ).astype(np.float32)
    _, vectors = np.linalg.eigh(normalise(sample).T @ normalise(sample))  # ascending
    leading = vectors[:, ::-1][:, :width]
    if bits == 1:
        leading = leading @ np.linalg.qr(random.normal(size=(leading.shape[1], leading.shape[1])))[0]
    projection: Floats = np.ascontiguousarray(leading).astype(np.float32)
    return projection


def encode_all(model: Model, products: Sequence[Product], progress: Progress) -> list[EncodedProduct]:
    """Encode a whole catalogue in memory, some hundreds at a time."""
    encoded: list[EncodedProduct] = []
    for start in range(0, len(products), 512):
        encoded += model.encode_products(products[start : start + 512])
        progress(len(encoded), len(products))
    return encoded


def cross_validated(model: Model, data: TrainingData, examples: Examples, recipe: Recipe) -> dict[str, float]:
    """Judged-pool nDCG@10, each query ranked by a scorer that never saw it, beside the article recipe's.

    Only the judged products of a query are ranked; a query counts where some product answers it well.
    """
    text_of = {p.id: build_product_text(p).pooled for p in data.main}
    pools = {q: [i for i in data.judgements[q] if i in text_of] for q in examples.graded}
    scorers = held_out_scorers(model.scorer, examples, recipe.scorer)
    article = article_cross_validated(model, data, pools, text_of, scorers, recipe.scorer.seed)
    keywords, row_of = KeywordIndex(data.main), {p.id: row for row, p in enumerate(data.main)}
    rankings: dict[str, dict[str, list[str]]] = {"attune": {}, "article": {}, "cosine": {}, "bm25": {}}
    for q, pool in pools.items():
        inputs = examples.graded[q].inputs
        for name, scores in (
            ("attune", scorers[q].probability(inputs)),
            ("article", article[q]),
            ("cosine", inputs[:, FEATURES.index("cosine")]),
            ("bm25", keywords.scores(q)[[row_of[i] for i in pool]]),
        ):
            rankings[name][q] = [pool[i] for i in np.argsort(-scores, kind="stable")]
    counts = select_answerable(data.judgements)
    return {
        f"judged_pool_ndcg@10_{name}": round(measure(found, counts)["ndcg@10"], 4)
        for name, found in rankings.items()
    }


def article_cross_validated(
    model: Model,
    data: TrainingData,
    pools: Mapping[str, Sequence[str]],
    text_of: Mapping[str, str],
    scorers: Mapping[str, Scorer],
    seed: int,
) -> dict[str, Floats]:
    """Score each query's pool by the article recipe, trained on the same folds as `scorers`."""
    found: dict[str, Floats] = {}
    for scorer in {id(s): s for s in scorers.values()}.values():
        held = [q for q in pools if scorers[q] is scorer]
        train = [
            ArticlePair(q, text_of[i], data.judgements[q][i] >= GOOD)
            for q, pool in pools.items()
            if q not in held
            for i in pool
        ]
        scores = score_by_article_recipe(
            model, train, [(q, text_of[i]) for q in held for i in pools[q]], seed
        )
        ends = np.cumsum([len(pools[q]) for q in held])
        found |= dict(zip(held, np.split(scores, ends[:-1]), strict=True))
    return found

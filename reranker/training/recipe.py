"""The shipped weights, from beginning to end: distil, export, project, train the scorer, measure, write.

Everything is seeded. On 2 idle cores this takes well under an hour; the distillation is most of it.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from mappings.types import Product
from reranker.evaluation import GOOD, Grades, countable, measured
from reranker.fusion import FEATURES, Scorer
from reranker.model import (
    CONFIG,
    PRODUCT,
    QUERY,
    SCORER,
    TOKENIZER,
    Model,
    ModelConfig,
    write_config,
    write_scorer,
)
from reranker.product_encoder import token_rows
from reranker.product_text import product_text
from reranker.stored import unit
from reranker.training.article import ArticlePair, article_scores
from reranker.training.bert import Bert
from reranker.training.distil import DistilConfig, distil
from reranker.training.examples import (
    Catalogue,
    Progress,
    SoftConfig,
    graded_examples,
    pair_examples,
    soft_examples,
)
from reranker.training.export import export_product_tower, export_query_tower
from reranker.training.keyword import KeywordIndex
from reranker.training.scorer import Example, ScorerConfig, train_scorer
from reranker.training.start import new_tower
from reranker.training.teacher import TeacherStates, teacher_states
from reranker.types import EncodedProduct, Floats

TEMPERATURE = 0.05
FOLDS = 5

Say = Callable[[str], None]
Stages = Callable[[str], Progress]
"""Name of a stage → where its progress (done, of) is reported."""


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
    """Every number of the training; stamped into the model's config."""

    distil: DistilConfig = field(default_factory=DistilConfig)
    soft: SoftConfig = field(default_factory=SoftConfig)
    scorer: ScorerConfig = field(default_factory=ScorerConfig)
    layers: tuple[int, ...] = (0, 2, 4, 5)
    token_width: int = 64
    product_tokens: int = 96
    stored_tokens: int = 32
    graded_weight: float = 4.0
    pair_weight: float = 0.5
    others_share: float = 0.3
    pairs_share: float = 0.2
    with_attributes_every: int = 3


def make_weights(
    data: TrainingData, bert_source: Path, folder: Path, recipe: Recipe, stages: Stages
) -> ModelConfig:
    """Train and write a whole model folder; return its config with the figures it reached."""
    folder.mkdir(parents=True, exist_ok=True)
    bert = Bert(bert_source)
    teacher = make_towers(data, bert, folder, recipe, stages)
    return make_scorer(data, bert, teacher, folder, recipe, stages)


def make_towers(
    data: TrainingData, bert: Bert, folder: Path, recipe: Recipe, stages: Stages
) -> TeacherStates:
    """Distil and export both towers into `folder`; return the teacher's states of `data.main`'s pooled texts.

    Texts are drawn so that `others` and `pairs` have their shares, whatever their numbers. Products with
    attributes come twice, without them and with, since the tower reads both.
    """
    groups = [list(data.main), list(data.others), [product for _, product, _ in data.pairs]]
    shares = [1 - recipe.others_share - recipe.pairs_share, recipe.others_share, recipe.pairs_share]
    ids: list[list[int]] = []
    weights: list[float] = []
    for group, share in zip(groups, shares, strict=True):
        rows = token_rows(bert.tokenizer, [product_text(p) for p in group], recipe.product_tokens)
        whole = [row.ids for row in rows if len(row.ids) > row.pooled]
        ids += [row.ids[: row.pooled] for row in rows] + whole[:: recipe.with_attributes_every]
        weights += [share / len(group)] * (len(ids) - len(weights))
    teacher = teacher_states(bert, ids, stages("teacher reads the texts"))
    tower = new_tower(bert, recipe.layers, recipe.product_tokens)
    distil(tower, teacher, np.array(weights), recipe.distil, stages("product tower learns from BERT"))
    export_query_tower(bert, folder / QUERY)
    export_product_tower(tower, folder / PRODUCT)
    shutil.copyfile(bert.tokenizer_file, folder / TOKENIZER)
    return TeacherStates(teacher.ids[: len(data.main)], teacher.states[: len(data.main)])


def make_scorer(
    data: TrainingData, bert: Bert, teacher: TeacherStates, folder: Path, recipe: Recipe, stages: Stages
) -> ModelConfig:
    """Train projection, fusion and MLP for the towers in `folder`; write scorer and config with figures."""
    projection = token_projection(teacher, recipe.token_width, recipe.distil.seed)
    none = np.zeros(1, np.float32)
    blank = Scorer(TEMPERATURE, none, none, none, none, none, 0.0)
    config = ModelConfig(
        dimension=bert.dimension,
        token_width=recipe.token_width,
        product_tokens=recipe.product_tokens,
        stored_tokens=recipe.stored_tokens,
        origin={
            "query_tower": "sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0)",
            "recipe": asdict(recipe),
        },
    )
    write_scorer(folder / SCORER, blank, projection)
    write_config(folder / CONFIG, config)
    model = Model(folder)
    examples = make_examples(data, bert, teacher, model, recipe, stages)
    figures = cross_validated(model, data, examples, recipe)
    scorer = train_scorer([*examples.unjudged, *examples.graded.values()], TEMPERATURE, recipe.scorer)
    write_scorer(folder / SCORER, scorer, projection)
    config = replace(config, figures={"product_tower_cosine": examples.tower_cosine, **figures})
    write_config(folder / CONFIG, config)
    return config


@dataclass(frozen=True)
class Examples:
    """The scorer's training examples; `tower_cosine` is the product tower's mean cosine to its teacher."""

    unjudged: Sequence[Example]
    graded: Mapping[str, Example]
    tower_cosine: float


def make_examples(
    data: TrainingData, bert: Bert, teacher: TeacherStates, model: Model, recipe: Recipe, stages: Stages
) -> Examples:
    """Encode the catalogue with `model`'s towers and make every example that the scorer learns from."""
    encoded = encode_all(model, data.main, stages("catalogue is encoded"))
    catalogue = Catalogue(data.main, encoded, teacher.states, KeywordIndex(data.main))
    soft = soft_examples(
        model, bert, catalogue, TEMPERATURE, recipe.soft, stages("queries are made and judged")
    )
    paired = model.encode_products([product for _, product, _ in data.pairs])
    pairs = pair_examples(
        model,
        [(query, p, relevant) for (query, _, relevant), p in zip(data.pairs, paired, strict=True)],
        TEMPERATURE,
        recipe.pair_weight,
    )
    graded = graded_examples(model, catalogue, data.judgements, TEMPERATURE, recipe.graded_weight)
    cosines = [
        e.vector @ unit(states.astype(np.float32).mean(0))
        for e, states in zip(encoded, teacher.states, strict=True)
    ]
    return Examples([*soft, *pairs], graded, round(float(np.mean(cosines)), 4))


def held_out_scorers(examples: Examples, config: ScorerConfig) -> dict[str, Scorer]:
    """Return, for each judged query, a scorer that learnt from the others' judgements only (5 folds)."""
    queries = sorted(examples.graded)
    np.random.default_rng(config.seed).shuffle(queries)
    scorers: dict[str, Scorer] = {}
    for fold in range(FOLDS):
        held = queries[fold::FOLDS]
        kept = [example for query, example in examples.graded.items() if query not in held]
        scorer = train_scorer([*examples.unjudged, *kept], TEMPERATURE, config)
        scorers |= dict.fromkeys(held, scorer)
    return scorers


def token_projection(teacher: TeacherStates, width: int, seed: int) -> Floats:
    """Return the projection (d, t) that keeps most of the dot products between unit token states.

    The leading right singular vectors of a sample of the teacher's states, uncentred.
    """
    random = np.random.default_rng(seed)
    sample = np.concatenate(
        [
            teacher.states[i]
            for i in random.choice(len(teacher.states), min(2000, len(teacher.states)), replace=False)
        ]
    ).astype(np.float32)
    _, vectors = np.linalg.eigh(unit(sample).T @ unit(sample))  # ascending
    projection: Floats = np.ascontiguousarray(vectors[:, ::-1][:, :width]).astype(np.float32)
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
    text_of = {p.id: product_text(p).pooled for p in data.main}
    pools = {q: [i for i in data.judgements[q] if i in text_of] for q in examples.graded}
    scorers = held_out_scorers(examples, recipe.scorer)
    article = article_cross_validated(model, data, pools, text_of, scorers, recipe.scorer.seed)
    rankings: dict[str, dict[str, list[str]]] = {"attune": {}, "article": {}, "cosine": {}, "bm25": {}}
    for q, pool in pools.items():
        inputs = examples.graded[q].inputs
        for name, scores in (
            ("attune", scorers[q].probability(inputs)),
            ("article", article[q]),
            ("cosine", inputs[:, FEATURES.index("cosine")]),
            ("bm25", inputs[:, FEATURES.index("bm25")]),
        ):
            rankings[name][q] = [pool[i] for i in np.argsort(-scores, kind="stable")]
    counts = countable(data.judgements)
    return {
        f"judged_pool_ndcg@10_{name}": round(measured(found, counts)["ndcg@10"], 4)
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
        scores = article_scores(model, train, [(q, text_of[i]) for q in held for i in pools[q]], seed)
        ends = np.cumsum([len(pools[q]) for q in held])
        found |= dict(zip(held, np.split(scores, ends[:-1]), strict=True))
    return found

"""Figures over all judgements: each query is ranked by a scorer that learnt from the other queries' only."""

from collections.abc import Mapping, Sequence

import numpy as np

from reranker.evaluation.measures import GOOD, measure, select_answerable
from reranker.fusion import FEATURES, Scorer
from reranker.model import Model
from reranker.text.product_text import build_product_text
from reranker.training.datasets.bm25 import KeywordIndex
from reranker.training.datasets.training_data import TrainingData
from reranker.training.recipe import ScorerConfig
from reranker.training.scoring.article_recipe import ArticlePair, score_by_article_recipe
from reranker.training.scoring.preparation import ExampleSet
from reranker.training.scoring.scorer import train_scorer
from reranker.types import Floats

_FOLDS = 5


def train_held_out_scorers(blank: Scorer, examples: ExampleSet, config: ScorerConfig) -> dict[str, Scorer]:
    """Return, for each judged query, a scorer that learnt from the others' judgements only (5 folds)."""
    queries = sorted(examples.graded)
    np.random.default_rng(config.seed).shuffle(queries)
    scorers: dict[str, Scorer] = {}
    for fold in range(_FOLDS):
        held_out = queries[fold::_FOLDS]
        graded = [example for query, example in examples.graded.items() if query not in held_out]
        scorer = train_scorer([*examples.unjudged, *graded], blank, config)
        scorers |= dict.fromkeys(held_out, scorer)
    return scorers


def cross_validate(
    model: Model, data: TrainingData, examples: ExampleSet, config: ScorerConfig
) -> dict[str, float]:
    """Return nDCG@10 over judged products, each query ranked by a scorer that never saw it, beside baselines.

    Only the judged products of a query are ranked. A query counts where some product answers it well.
    """
    text_of = {p.id: build_product_text(p).pooled for p in data.main}
    pools = {q: [i for i in data.judgements[q] if i in text_of] for q in examples.graded}
    scorers = train_held_out_scorers(model.scorer, examples, config)
    article = _cross_validate_article(model, data, pools, text_of, scorers, config.seed)
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
    answerable = select_answerable(data.judgements)
    return {
        f"judged_pool_ndcg@10_{name}": round(measure(ranking, answerable)["ndcg@10"], 4)
        for name, ranking in rankings.items()
    }


def _cross_validate_article(
    model: Model,
    data: TrainingData,
    pools: Mapping[str, Sequence[str]],
    text_of: Mapping[str, str],
    scorers: Mapping[str, Scorer],
    seed: int,
) -> dict[str, Floats]:
    """Score each query's pool by the article recipe, trained on the same folds as `scorers`."""
    scores_of: dict[str, Floats] = {}
    for scorer in {id(s): s for s in scorers.values()}.values():
        held_out = [q for q in pools if scorers[q] is scorer]
        train = [
            ArticlePair(q, text_of[i], data.judgements[q][i] >= GOOD)
            for q, pool in pools.items()
            if q not in held_out
            for i in pool
        ]
        test = [(q, text_of[i]) for q in held_out for i in pools[q]]
        scores = score_by_article_recipe(model, train, test, seed)
        ends = np.cumsum([len(pools[q]) for q in held_out])
        scores_of |= dict(zip(held_out, np.split(scores, ends[:-1]), strict=True))
    return scores_of

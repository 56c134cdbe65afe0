"""The article recipe among the systems that `attune evaluate` compares (extra `train`).

It has to be trained, so each query is ranked by a network that learnt from the other queries' judgements
only, in five folds. It has no first stage, so it reranks the same window as Attune.
"""

from collections.abc import Mapping, Sequence

from mappings.types import Product
from plugin_api.commands.evaluate.systems import SYSTEMS
from reranker.evaluation.comparison import RankedList, System, SystemRun
from reranker.evaluation.measures import GOOD, Grades
from reranker.model import Model
from reranker.text.product_text import build_product_text

_FOLDS = 5


def run_article_recipe(
    model: Model,
    grades: Mapping[str, Grades],
    windows: Mapping[str, Sequence[str]],
    products: Mapping[str, Product],
) -> SystemRun:
    """Rank each query's window and judged products by the recipe; `products` has the texts of all of them.

    Raises ImportError where torch is not installed.
    """
    from reranker.training.scoring.article_recipe import ArticlePair, score_by_article_recipe

    texts = {i: build_product_text(product).pooled for i, product in products.items()}
    queries = sorted(grades)
    catalogue: dict[str, RankedList] = {}
    pool: dict[str, RankedList] = {}
    for fold in range(min(_FOLDS, len(queries))):
        held_out = queries[fold :: min(_FOLDS, len(queries))]
        train = [
            ArticlePair(query, texts[i], grade >= GOOD)
            for query in queries
            if query not in held_out
            for i, grade in grades[query].items()
        ]
        if not train:
            continue
        pairs = [(query, i) for query in held_out for i in dict.fromkeys([*windows[query], *grades[query]])]
        scores = score_by_article_recipe(model, train, [(query, texts[i]) for query, i in pairs])
        likely = dict(zip(pairs, scores.tolist(), strict=True))
        for query in held_out:
            catalogue[query] = _ordered(query, windows[query], likely)
            pool[query] = _ordered(query, list(grades[query]), likely)
    return SystemRun(System("article", SYSTEMS["article"]), catalogue, pool)


def _ordered(query: str, ids: Sequence[str], likely: Mapping[tuple[str, str], float]) -> RankedList:
    ranked = sorted(ids, key=lambda i: likely[query, i], reverse=True)
    return RankedList(tuple(ranked), tuple(likely[query, i] for i in ranked))

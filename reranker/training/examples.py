"""From catalogues, judged pairs and judgements to the scorer's training examples."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mappings.types import Product
from reranker.evaluation import GOOD, Grades
from reranker.fusion import fused
from reranker.model import Model
from reranker.stored import unit, unpack
from reranker.training.bert import Bert
from reranker.training.clicks import ClickEvidence
from reranker.training.keyword import KeywordIndex
from reranker.training.queries import catalogue_queries
from reranker.training.scorer import PRIOR, PRIOR_SLOPE, Example
from reranker.types import EncodedProduct, EncodedQuery, Floats

Progress = Callable[[int, int], None]

NEIGHBOURS = 50
"""How many of the nearest products, by BM25 and by vector, hard negatives are drawn from."""

MUCH_SHOWN = 100.0
"""Shows of a query's products that were looked at with which its clicks count half."""


@dataclass(frozen=True)
class Catalogue:
    """A catalogue with everything that examples are made from, row by row alike."""

    products: Sequence[Product]
    encoded: Sequence[EncodedProduct]
    teacher: Sequence[NDArray[np.float16]]  # the BERT's token states of each product's text, each (T, d)
    keywords: KeywordIndex


@dataclass(frozen=True)
class SoftConfig:
    """How examples are made from a bare catalogue."""

    queries: int = 1500
    keyword_candidates: int = 12
    vector_candidates: int = 12
    random_candidates: int = 4
    source_share: float = 0.05
    seed: int = 7


def fused_inputs(
    model: Model, query: EncodedQuery, stored: Sequence[bytes], bm25: Floats, temperature: float
) -> Floats:
    """Return the MLP's inputs (n, F + t) of candidates, as serving computes them."""
    return fused(query, unpack(stored, model.dimension, query.tokens.shape[1]), bm25, temperature)


def soft_examples(
    model: Model, bert: Bert, catalogue: Catalogue, temperature: float, config: SoftConfig, progress: Progress
) -> list[Example]:
    """Return one example a made query: its product, BM25 and vector neighbours, and random others.

    The target mixes the teacher's judgement of every candidate (several products may answer a query
    as well as the one it was made from) with certainty about that one.
    """
    random = np.random.default_rng(config.seed)
    vectors = np.stack([e.vector for e in catalogue.encoded])  # (N, d)
    queries = catalogue_queries(catalogue.products, config.queries, config.seed)
    examples = []
    for done, (text, source) in enumerate(queries):
        query = model.encode_query(text)
        keyword = catalogue.keywords.scores(text)
        most = min(NEIGHBOURS, len(vectors) - 1)
        near = np.argpartition(-(vectors @ query.vector), most)[:NEIGHBOURS]
        close = np.argpartition(-keyword, most)[:NEIGHBOURS]
        matching = close[keyword[close] > 0]
        rows = np.unique(
            np.concatenate(
                [
                    [source],
                    random.choice(matching, min(config.keyword_candidates, len(matching)), replace=False),
                    random.choice(near, config.vector_candidates, replace=False),
                    random.choice(len(vectors), config.random_candidates, replace=False),
                ]
            ).astype(np.int64)
        )
        inputs = fused_inputs(
            model, query, [catalogue.encoded[i].stored for i in rows], keyword[rows], temperature
        )
        judged = teacher_prior(bert, text, [catalogue.teacher[i] for i in rows])
        soft = np.exp(PRIOR_SLOPE * (judged - judged.max()))
        target = (1 - config.source_share) * soft / soft.sum() + config.source_share * (rows == source)
        examples.append(Example(inputs, target.astype(np.float32), None))
        progress(done + 1, len(queries))
    return examples


def teacher_prior(bert: Bert, text: str, products: Sequence[NDArray[np.float16]]) -> Floats:
    """Return the BERT teacher's judgement (n,) of products, BERT on both sides: the scorer's prior,
    undistilled.
    """
    states, _ = bert.states(bert.token_ids([text], 32))
    x = states[0].numpy()  # (Lq, d)
    pooled, tokens = unit(x.mean(0)), unit(x[1:-1])
    judged = []
    for states_of in products:
        y = states_of.astype(np.float32)
        match = (tokens @ unit(y[1:-1]).T).max(1).mean()
        judged.append(PRIOR["cosine"] * float(pooled @ unit(y.mean(0))) + PRIOR["token_match"] * float(match))
    return np.array(judged, dtype=np.float32)


def graded_examples(
    model: Model, catalogue: Catalogue, grades: Mapping[str, Grades], temperature: float, weight: float
) -> dict[str, Example]:
    """Return one example a judged query, over its judged products that the catalogue has; keyed by query."""
    row_of = {p.id: row for row, p in enumerate(catalogue.products)}
    examples = {}
    for text, judged in grades.items():
        ids = [i for i in judged if i in row_of]
        if not ids:
            continue
        rows = [row_of[i] for i in ids]
        grade = np.array([judged[i] for i in ids])
        inputs = fused_inputs(
            model,
            model.encode_query(text),
            [catalogue.encoded[i].stored for i in rows],
            catalogue.keywords.scores(text)[rows],
            temperature,
        )
        gains = (2.0**grade - 1).astype(np.float32)
        examples[text] = Example(inputs, gains, (grade >= GOOD).astype(np.float32), weight)
    return examples


def pair_examples(
    model: Model, pairs: Sequence[tuple[str, EncodedProduct, float]], temperature: float, weight: float
) -> list[Example]:
    """Return one example a judged pair (query, product, probability that it is relevant).

    There is no keyword engine behind these pairs, so `bm25` is 1 for all: the best of the one candidate.
    """
    one = np.ones(1, dtype=np.float32)
    return [
        Example(
            fused_inputs(model, model.encode_query(text), [product.stored], one, temperature),
            None,
            np.array([relevant], dtype=np.float32),
            weight,
        )
        for text, product, relevant in pairs
    ]


def click_examples(
    model: Model, catalogue: Catalogue, evidence: Sequence[ClickEvidence], temperature: float, weight: float
) -> list[Example]:
    """Return one example a clicked query, over its products that the catalogue has.

    Their order is that of `click`, free of position; a list counts by how much of it was looked at.
    """
    row_of = {p.id: row for row, p in enumerate(catalogue.products)}
    grouped: dict[str, list[ClickEvidence]] = {}
    for found in evidence:
        if found.product_id in row_of:
            grouped.setdefault(found.query, []).append(found)
    examples = []
    for text, seen in grouped.items():
        rows = [row_of[found.product_id] for found in seen]
        inputs = fused_inputs(
            model,
            model.encode_query(text),
            [catalogue.encoded[i].stored for i in rows],
            catalogue.keywords.scores(text)[rows],
            temperature,
        )
        clicks = np.array([found.click for found in seen], dtype=np.float32)
        shown = sum(found.shown for found in seen)
        examples.append(Example(inputs, clicks, None, weight * shown / (shown + MUCH_SHOWN)))
    return examples

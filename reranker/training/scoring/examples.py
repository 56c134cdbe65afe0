"""From catalogues, judged pairs and judgements to the scorer's training examples."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mappings.types import Product
from reranker.encoders.codec import WORD_FIELDS, normalise, unpack_products
from reranker.encoders.product_encoder import hash_product_words
from reranker.evaluation.measures import GOOD, Grades
from reranker.fusion import HEADS, IdfTable, build_scorer_inputs
from reranker.model import Model
from reranker.probes.known_items import make_queries
from reranker.training.clicks.click_labels import ClickEvidence
from reranker.training.datasets.bm25 import KeywordIndex
from reranker.training.encoders.bert import Encoder
from reranker.training.recipe import SoftConfig
from reranker.training.run.progress import ReportProgress
from reranker.training.scoring.scorer import PRIOR, PRIOR_SLOPE, Example
from reranker.types import EncodedProduct, EncodedQuery, Floats, Ints

_NEIGHBOURS = 50
"""How many of the nearest products, by BM25 and by vector, hard negatives are drawn from."""

_MUCH_SHOWN = 100.0
"""Shows of a query's products that were looked at with which its clicks count half."""


@dataclass(frozen=True)
class EncodedCatalogue:
    """A catalogue with everything that examples are made from, row by row alike."""

    products: Sequence[Product]
    encoded: Sequence[EncodedProduct]
    teacher: Sequence[NDArray[np.float16]]  # the BERT's token states of each product's text, each (T, d)
    keywords: KeywordIndex


def build_idf_table(products: Sequence[Product]) -> IdfTable:
    """Return how rare words are among `products`, for fusion's BM25."""
    counts = np.zeros(1 << 16)
    lengths = np.zeros((len(products), len(WORD_FIELDS)))
    for row, product in enumerate(products):
        by_field = hash_product_words(product)
        lengths[row] = [len(field_words) for field_words in by_field]
        counts[np.unique(np.concatenate(by_field) & 0xFFFF)] += 1
    idf = np.log1p((len(products) - counts + 0.5) / (counts + 0.5))
    return IdfTable(idf.astype(np.float16).astype(np.float32), lengths.mean(0).astype(np.float32))


def build_example_inputs(model: Model, query: EncodedQuery, stored: Sequence[bytes]) -> Floats:
    """Return the MLP's inputs (n, F + t) of products, as serving computes them."""
    batch = unpack_products(stored, model.dimension, query.tokens.shape[1])
    return build_scorer_inputs(query, batch, model.scorer.temperature, model.scorer.idf_table)


@dataclass(frozen=True, slots=True)
class CandidateList:
    """A made query, the rows (n,) of products that it ranks, and how much each is preferred (n,)."""

    text: str
    rows: Ints
    gains: Floats


def make_soft_lists(
    model: Model, bert: Encoder, catalogue: EncodedCatalogue, config: SoftConfig, progress: ReportProgress
) -> list[CandidateList]:
    """Return one list a made query: its product, BM25 and vector neighbours, and random others.

    The target mixes the teacher's judgement of every candidate (several products may answer a query
    as well as the one it was made from) with certainty about that one.
    """
    queries = make_queries(catalogue.products, config.queries, config.seed)
    lists = []
    drawn = draw_candidates(model, catalogue, queries, config)
    for done, ((text, source), rows) in enumerate(zip(queries, drawn, strict=True)):
        judged = compute_teacher_prior(bert, text, [catalogue.teacher[i] for i in rows])
        soft = np.exp(PRIOR_SLOPE * (judged - judged.max()))
        target = (1 - config.source_share) * soft / soft.sum() + config.source_share * (rows == source)
        lists.append(CandidateList(text, rows, target.astype(np.float32)))
        progress(done + 1, len(queries))
    return lists


def draw_candidates(
    model: Model, catalogue: EncodedCatalogue, queries: Sequence[tuple[str, int]], config: SoftConfig
) -> Iterator[Ints]:
    """Yield the rows that each query (text, row of its product) ranks: its own, near ones and random ones."""
    random = np.random.default_rng(config.seed)
    vectors = np.stack([e.vector for e in catalogue.encoded])  # (N, d)
    for text, source in queries:
        query = model.encode_query(text)
        keyword = catalogue.keywords.scores(text)
        most = min(_NEIGHBOURS, len(vectors) - 1)
        near = np.argpartition(-(vectors @ query.vector), most)[:_NEIGHBOURS]
        close = np.argpartition(-keyword, most)[:_NEIGHBOURS]
        matching = close[keyword[close] > 0]
        yield np.unique(
            np.concatenate(
                [
                    [source],
                    random.choice(matching, min(config.keyword_candidates, len(matching)), replace=False),
                    random.choice(near, config.vector_candidates, replace=False),
                    random.choice(len(vectors), config.random_candidates, replace=False),
                ]
            ).astype(np.int64)
        )


def build_list_examples(
    model: Model, stored: Sequence[bytes], lists: Sequence[CandidateList], weight: float = 1.0
) -> list[Example]:
    """Return one example a list; `stored` are a catalogue's products as serving reads them, row by row."""
    return [
        Example(
            build_example_inputs(model, model.encode_query(each.text), [stored[row] for row in each.rows]),
            each.gains,
            None,
            weight,
        )
        for each in lists
    ]


def compute_teacher_prior(bert: Encoder, text: str, products: Sequence[NDArray[np.float16]]) -> Floats:
    """Return the BERT teacher's judgement (n,) of products, BERT on both sides: the scorer's prior,
    undistilled.
    """
    states, _ = bert.states(bert.token_ids([text], 32))
    x = states[0].numpy()  # (Lq, d)
    pooled, tokens = normalise(x.mean(0)), normalise(x[1:-1])
    judged = []
    for states_of in products:
        y = states_of.astype(np.float32)
        best = (tokens @ normalise(y[1:-1]).T).max(1)
        said = {
            "cosine": pooled @ normalise(y.mean(0)),
            "token_match": best.mean(),
            "token_worst": best.min(),
        }
        judged.append(sum(weight * float(said[name]) for name, weight in PRIOR.items()))
    return np.array(judged, dtype=np.float32)


def make_graded_examples(
    model: Model, catalogue: EncodedCatalogue, grades: Mapping[str, Grades], weight: float
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
        stored = [catalogue.encoded[i].stored for i in rows]
        query = model.encode_query(text)
        inputs = build_example_inputs(model, query, stored)
        gains = (2.0**grade - 1).astype(np.float32)
        relevant = (grade >= GOOD).astype(np.float32)
        examples[text] = Example(inputs, gains, relevant, weight, tokens=len(query.tokens))
    return examples


def make_pair_examples(
    model: Model, pairs: Sequence[tuple[str, EncodedProduct, float]], weight: float
) -> list[Example]:
    """Return one example a judged pair (query, product, probability that it is relevant)."""
    examples = []
    for text, product, relevant in pairs:
        query = model.encode_query(text)
        inputs = build_example_inputs(model, query, [product.stored])
        wanted = np.array([relevant], dtype=np.float32)
        examples.append(Example(inputs, None, wanted, weight, tokens=len(query.tokens)))
    return examples


def make_click_examples(
    model: Model, catalogue: EncodedCatalogue, evidence: Sequence[ClickEvidence], weight: float
) -> list[Example]:
    """Return two examples a clicked query, over its products that the catalogue has, for the heads click and
    purchase; one where nothing says who bought.

    Their order is that of `click` and `purchase`, free of position; a list counts by how much of it was seen.
    """
    row_of = {p.id: row for row, p in enumerate(catalogue.products)}
    grouped: dict[str, list[ClickEvidence]] = {}
    for label in evidence:
        if label.product_id in row_of:
            grouped.setdefault(label.query, []).append(label)
    examples = []
    for text, seen in grouped.items():
        rows = [row_of[label.product_id] for label in seen]
        inputs = build_example_inputs(
            model, model.encode_query(text), [catalogue.encoded[i].stored for i in rows]
        )
        shown = sum(label.shown for label in seen)
        share = weight * shown / (shown + _MUCH_SHOWN)
        for head in ("click", "purchase"):
            chances = np.array([getattr(label, head) for label in seen], dtype=np.float32)
            if not np.isnan(chances).any() and chances.sum():
                examples.append(Example(inputs, chances, chances, share, HEADS.index(head)))
    return examples

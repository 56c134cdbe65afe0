"""What the scorer is trained with: projection, config, the encoded catalogue and the examples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mappings.types import Product
from reranker.encoders.codec import normalise
from reranker.fusion import make_blank_scorer
from reranker.model import CONFIG, SCORER, Model, ModelConfig, write_config, write_scorer
from reranker.training.datasets.bm25 import KeywordIndex
from reranker.training.datasets.training_data import TrainingData
from reranker.training.distillation.disk_cache import cache_encodings
from reranker.training.distillation.teacher import TeacherStates
from reranker.training.distillation.towers import Towers
from reranker.training.encoders.bert import Encoder
from reranker.training.recipe import Recipe
from reranker.training.run.files import write_atomically
from reranker.training.run.progress import ReportProgress, ReportStage
from reranker.training.run.run_folder import TrainingRun
from reranker.training.scoring.examples import (
    EncodedCatalogue,
    build_idf_table,
    build_list_examples,
    make_graded_examples,
    make_pair_examples,
    make_soft_lists,
)
from reranker.training.scoring.scorer import Example
from reranker.types import EncodedProduct, Floats

TEMPERATURE = 0.05
"""Temperature of attention over cosines."""


@dataclass(frozen=True)
class ExampleSet:
    """The scorer's training examples; `tower_cosine` is the product tower's mean cosine to its teacher."""

    unjudged: Sequence[Example]
    graded: Mapping[str, Example]
    tower_cosine: float


@dataclass(frozen=True)
class PreparedScorer:
    """All that the scorer is trained with; `model` has its towers and projection, and a blank scorer."""

    model: Model
    catalogue: EncodedCatalogue
    examples: ExampleSet


def prepare_scorer(
    run: TrainingRun,
    data: TrainingData,
    encoder: Encoder,
    towers: Towers,
    recipe: Recipe,
    stages: ReportStage,
) -> PreparedScorer:
    """Write projection and config beside the towers, encode the catalogue, and make the examples."""
    folder = towers.folder
    if not (folder / SCORER).is_file():
        projection = fit_token_projection(
            towers.states, recipe.token_width, recipe.product.seed, recipe.token_bits
        )
        blank = make_blank_scorer(TEMPERATURE, build_idf_table(data.main), projection.shape[1])
        with write_atomically(folder / SCORER) as unfinished:
            write_scorer(unfinished, blank, projection)
    config = ModelConfig(
        dimension=encoder.dimension,
        token_width=min(recipe.token_width, encoder.dimension),
        product_heads=towers.heads,
        product_tokens=towers.positions,
        stored_tokens=recipe.stored_tokens,
        token_bits=recipe.token_bits,
    )
    write_config(folder / CONFIG, config)
    model = Model(folder)
    encoded = cache_encodings(model, data.main, run.work / "encoded", stages("catalogue is encoded"))
    catalogue = EncodedCatalogue(data.main, encoded, towers.states.states, KeywordIndex(data.main))
    return PreparedScorer(model, catalogue, make_examples(data, encoder, catalogue, model, recipe, stages))


def make_examples(
    data: TrainingData,
    encoder: Encoder,
    catalogue: EncodedCatalogue,
    model: Model,
    recipe: Recipe,
    stages: ReportStage,
) -> ExampleSet:
    """Make every example that the scorer learns from, but for clicks."""
    judging = stages("queries are made and judged")
    made = make_soft_lists(model, encoder, catalogue, recipe.soft, judging)
    soft = build_list_examples(model, [product.stored for product in catalogue.encoded], made)
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
    return ExampleSet([*soft, *pairs], graded, round(float(np.mean(cosines)), 4))


def fit_token_projection(teacher: TeacherStates, width: int, seed: int, bits: int = 8) -> Floats:
    """Return the projection (d, t) that keeps most of the dot products between unit token states.

    It holds the leading right singular vectors of a sample of the teacher's states, uncentred. Where one bit
    of each component is to be stored it is rotated at random, so that each bit tells as much.
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


def encode_catalogue(
    model: Model, products: Sequence[Product], progress: ReportProgress
) -> list[EncodedProduct]:
    """Encode a whole catalogue in memory, 512 products at a time."""
    encoded: list[EncodedProduct] = []
    for start in range(0, len(products), 512):
        encoded += model.encode_products(products[start : start + 512])
        progress(len(encoded), len(products))
    return encoded

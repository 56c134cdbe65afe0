"""The catalogues in memory, and the examples that each of them teaches the scorer by."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from mappings.types import Product
from plugin_api.commands.demo.catalogue import PRODUCTS
from plugin_api.commands.train.weights import read_electronics_judgements, read_esci_pairs, read_groceries
from reranker.evaluation.measures import group_by_query
from reranker.fusion import IdfTable, Scorer
from reranker.model import Model
from reranker.text.product_text import build_product_text
from reranker.training.distillation.teacher import compute_product_states, tokenise_readings
from reranker.training.encoders.bert import QueryTower
from reranker.training.recipe import Recipe
from reranker.training.run.progress import ignore_progress
from reranker.training.scoring.examples import (
    CandidateList,
    EncodedCatalogue,
    build_idf_table,
    build_list_examples,
    make_graded_examples,
    make_pair_examples,
    make_soft_lists,
)
from reranker.training.scoring.scorer import Example
from reranker.types import EncodedProduct
from tests.bench.demands.systems import CACHE, Shop, open_shop
from tests.bench.inputs.catalogue import products
from tests.bench.leave_one_out.lists import DemandConfig, make_demand_lists, make_pair_lists
from tests.bench.tuning import list_esci_products

ESCI = ("esci-us", "esci-es", "esci-jp")
FOLDS: Mapping[str, Sequence[str]] = {
    "electronics": ("electronics",),
    "esci": ESCI,
    "groceries": ("groceries",),
}
"""Catalogues that are left out together: the languages of one shop are one catalogue."""

TAUGHT = {"electronics": 1500, "esci-us": 500, "groceries": 500}
"""Catalogues that the scorer learns from, and how many queries are made from each."""


@dataclass(frozen=True)
class Material:
    """What one catalogue teaches.

    Lists judged by the teacher, lists of demands, lists around what people found right, grades, single pairs.
    """

    soft: Sequence[Example]
    demands: Sequence[Example]
    right: Sequence[Example]
    graded: Sequence[Example]
    pairs: Sequence[Example]


@dataclass(frozen=True)
class JudgedCatalogue:
    """A catalogue, its products as the towers encode them, and what it teaches."""

    name: str
    shop: Shop

    @cached_property
    def encoded(self) -> list[EncodedProduct]:
        """The products as they are stored."""
        return [EncodedProduct(*each) for each in zip(self.shop.vectors, self.shop.stored, strict=True)]

    @cached_property
    def idf_table(self) -> IdfTable:
        """How rare words are in the catalogue."""
        return build_idf_table(self.shop.products)

    @cached_property
    def soft_lists(self) -> list[CandidateList]:
        """Lists of made queries, judged by the query encoder on both sides."""
        return _cache_lists(self._describe("soft"), self._make_soft_lists)

    @cached_property
    def demand_lists(self) -> list[CandidateList]:
        """Lists of made queries with demands."""
        shop = self.shop
        return _cache_lists(
            self._describe("demands"),
            lambda: make_demand_lists(shop.model, shop.products, shop.vectors, DemandConfig()),
        )

    def build_material(self, model: Model) -> Material:
        """Return all examples, as a model with the same towers reads them."""
        shop, name = self.shop, self.name
        catalogue = EncodedCatalogue(shop.products, self.encoded, [], shop.keywords)
        grades = group_by_query(read_electronics_judgements()) if name == "electronics" else {}
        pairs = list(read_esci_pairs()) if name == "esci-us" else []
        read = model.encode_products([product for _, product, _ in pairs])
        judged = [(query, p, relevant) for (query, _, relevant), p in zip(pairs, read, strict=True)]
        recipe = Recipe()
        labels = [(query, product.id, relevant) for query, product, relevant in pairs]
        right = make_pair_lists(model, catalogue, labels, recipe.soft) if labels else []
        return Material(
            build_list_examples(model, shop.stored, self.soft_lists),
            build_list_examples(model, shop.stored, self.demand_lists),
            build_list_examples(model, shop.stored, right),
            list(make_graded_examples(model, catalogue, grades, recipe.graded_weight).values()),
            make_pair_examples(model, judged, recipe.pair_weight),
        )

    def _make_soft_lists(self) -> list[CandidateList]:
        shop = self.shop
        encoder = QueryTower(shop.model)
        texts = [build_product_text(product) for product in shop.products]
        readings = tokenise_readings(encoder, encoder.product_tokenizer, texts, Recipe().product_tokens)
        states = compute_product_states(encoder, readings, ignore_progress).states
        catalogue = EncodedCatalogue(shop.products, self.encoded, states, shop.keywords)
        config = replace(Recipe().soft, queries=TAUGHT[self.name])
        return make_soft_lists(shop.model, encoder, catalogue, config, ignore_progress)

    def _describe(self, kind: str) -> str:
        # The towers decide what the teacher says and which products are near, the scorer has no part in it.
        towers = hashlib.blake2b(digest_size=8)
        for file in ("query.onnx", "product.onnx", "tokenizer.json"):
            towers.update((self.shop.model.folder / file).read_bytes())
        return f"{kind}-{self.name}-{towers.hexdigest()}"


class ReplacedScorer(Model):
    """A model with another scorer on its towers."""

    def __init__(self, folder: Path, scorer: Scorer) -> None:
        super().__init__(folder)
        self._replacement = scorer

    @property
    def scorer(self) -> Scorer:
        """The other scorer."""
        return self._replacement


def open_catalogues(model: Model, names: Sequence[str]) -> dict[str, JudgedCatalogue]:
    """Read and encode catalogues, or take what an earlier run encoded with the same model."""
    return {name: JudgedCatalogue(name, open_shop(_read_products(name), model)) for name in names}


def merge_idf_tables(tables: Sequence[IdfTable]) -> IdfTable:
    """Return the mean of several catalogues' tables: each counts alike, whatever its size."""
    return IdfTable(
        np.mean([table.idf for table in tables], 0).astype(np.float32),
        np.mean([table.lengths for table in tables], 0).astype(np.float32),
    )


def _read_products(name: str) -> list[Product]:
    if name == "electronics":
        return list(products(PRODUCTS))
    return read_groceries() if name == "groceries" else list_esci_products(name)


def _cache_lists(name: str, make: Callable[[], list[CandidateList]]) -> list[CandidateList]:
    path = CACHE / f"lists-{name}.npz"
    if not path.is_file():
        lists = make()
        np.savez(
            path,
            texts=np.array([each.text for each in lists]),
            sizes=np.array([len(each.rows) for each in lists]),
            rows=np.concatenate([each.rows for each in lists]),
            gains=np.concatenate([each.gains for each in lists]),
        )
    with np.load(path) as arrays:
        ends = np.cumsum(arrays["sizes"])[:-1]
        parts = zip(
            arrays["texts"].tolist(),
            np.split(arrays["rows"], ends),
            np.split(arrays["gains"], ends),
            strict=True,
        )
        return [CandidateList(*part) for part in parts]

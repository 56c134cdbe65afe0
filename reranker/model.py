"""A model folder: two ONNX towers, a tokenizer, the scorer's parameters, and the config they were made with.

    config.json      ModelConfig and the figures the model reached
    query.onnx       BERT query encoder
    product.onnx     GPT-2 product encoder
    tokenizer.json   the tokenizer of both
    scorer.npz       projection of the token vectors, fusion and MLP
    product_tokenizer.json   the product encoder's own, only where it has another

A model's version is a hash of them all and of the form in which products are stored. It is stamped on every
index and compared on every search.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal
from zipfile import BadZipFile

import msgspec
import numpy as np
from msgspec import Meta
from tokenizers import Tokenizer

from mappings.errors import ModelError
from mappings.types import Product
from reranker.encoders.codec import FORMATS, MAX_TOKENS, WORD_FIELDS, is_well_formed, pack_product
from reranker.encoders.onnx_tower import Tower
from reranker.encoders.product_encoder import encode_products
from reranker.encoders.query_encoder import encode_query
from reranker.fusion import FEATURES, HEADS, HIDDEN_UNITS, IdfTable, Scorer, score_products
from reranker.length_scaling import LONGEST, calibrate, compute_scale
from reranker.text.subword_tokens import reads_cjk
from reranker.text.word_tokens import hash_words
from reranker.types import EncodedProduct, EncodedQuery, Floats

CONFIG, QUERY, PRODUCT, TOKENIZER, SCORER = FILES = (
    "config.json",
    "query.onnx",
    "product.onnx",
    "tokenizer.json",
    "scorer.npz",
)
PRODUCT_TOKENIZER = "product_tokenizer.json"


@dataclass(frozen=True)
class ModelConfig:
    """What a loader must know of a model folder; `origin` and `figures` are for people.

    `dimension` is d of the k-NN vectors, `token_width` is t of the token vectors, and `product_heads` is the
    number of the product tower's attention heads. A query is cut to `query_tokens`, a product to
    `product_tokens`. Of a product at most `stored_tokens` token vectors are stored, each component of
    `token_bits` (8 or 1).
    """

    dimension: Annotated[int, Meta(ge=1, le=16_000)]
    token_width: Annotated[int, Meta(ge=1, le=4096)]
    product_heads: Annotated[int, Meta(ge=1, le=256)]
    query_tokens: Annotated[int, Meta(ge=2, le=512)] = 32
    product_tokens: Annotated[int, Meta(ge=2, le=2048)] = 96
    stored_tokens: Annotated[int, Meta(ge=1, le=MAX_TOKENS)] = 32
    token_bits: Literal[1, 8] = 8
    origin: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)


class Model:
    """The towers and the scorer of one model folder, loaded at first use."""

    def __init__(self, folder: Path, threads: int = 0) -> None:
        missing = [name for name in FILES if not (folder / name).is_file()]
        if missing:
            raise ModelError(
                f"model folder {folder} lacks {', '.join(missing)}: "
                "name a folder made by Attune's training, or leave model.folder empty for the shipped one"
            )
        self.folder = folder
        self.config = read_config(folder / CONFIG)
        self.version = compute_version(folder)
        self._threads = threads

    @property
    def dimension(self) -> int:
        """Components d of the k-NN vector."""
        return self.config.dimension

    @cached_property
    def text_space(self) -> str:
        """12 hex digits that name the space of its vectors: models with the same query encoder share one."""
        digest = hashlib.sha256((self.folder / QUERY).read_bytes())
        digest.update((self.folder / TOKENIZER).read_bytes())
        return digest.hexdigest()[:12]

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The query encoder's tokenizer."""
        return read_tokenizer(self.folder / TOKENIZER)

    @cached_property
    def product_tokenizer(self) -> Tokenizer:
        """The product encoder's tokenizer: the query encoder's, where the folder has no other."""
        own = self.folder / PRODUCT_TOKENIZER
        return read_tokenizer(own) if own.is_file() else self.tokenizer

    @cached_property
    def query_tower(self) -> Tower:
        """The BERT query encoder."""
        # A query is a few tokens: on two cores 2.0 ms with one thread, 2.5 with two, which others then lack.
        return self._load_tower(QUERY, self._threads or 1)

    @cached_property
    def product_tower(self) -> Tower:
        """The GPT-2 product encoder, for one thread at each of several products."""
        return self._load_tower(PRODUCT, 1)

    def _load_tower(self, name: str, threads: int) -> Tower:
        tower = Tower(self.folder / name, threads)
        if tower.width not in (None, self.dimension):
            raise ModelError(
                f"{self.folder / name} makes states of width {tower.width}, where config.json has dimension "
                f"{self.dimension}"
            )
        return tower

    @cached_property
    def _scorer(self) -> tuple[Scorer, Floats]:
        return read_scorer(self.folder / SCORER, self.config)

    @property
    def scorer(self) -> Scorer:
        """Fusion and MLP."""
        return self._scorer[0]

    @property
    def projection(self) -> Floats:
        """Projection (d, t) of token states to token vectors."""
        return self._scorer[1]

    def load(self) -> "Model":
        """Load and run all that a search needs now, so that the first one doesn't wait. Raises ModelError."""
        query = self.encode_query("warm up")
        itself = pack_product(
            query.vector,
            query.tokens,
            [hash_words(query.words), *3 * [hash_words(())]],
            self.config.token_bits,
        )
        self.score(query, [itself])
        return self

    def encode_query(self, text: str) -> EncodedQuery:
        """Encode one query. Milliseconds, on the calling thread and the tower's."""
        parts = self.tokenizer, self.query_tower, self.projection
        query = encode_query(text, *parts, self.config.query_tokens, self._reads_cjk)
        return replace(query, scale=compute_scale(self.scorer.scaling, len(query.tokens)))

    @cached_property
    def _reads_cjk(self) -> bool:
        return reads_cjk(self.tokenizer)

    def encode_products(self, products: Sequence[Product]) -> list[EncodedProduct]:
        """Encode products, in the order given, as many at a time as there are threads."""
        return encode_products(
            products,
            self.product_tokenizer,
            self.product_tower,
            self.projection,
            self.config.product_tokens,
            self.config.stored_tokens,
            self.config.token_bits,
            self._threads or os.cpu_count() or 1,
        )

    def is_readable(self, stored: bytes) -> bool:
        """Return whether `score` can read a stored product. Takes a microsecond."""
        config = self.config
        return is_well_formed(
            stored, config.dimension, config.token_width, config.stored_tokens, config.token_bits
        )

    def score(
        self, query: EncodedQuery, stored: Sequence[bytes], weights: Sequence[float] = (1.0, 0.0, 0.0)
    ) -> Floats:
        """Return the probability (n,) of each product, given by its `attune.tokens`.

        It comes from the log-odds of the heads (fusion.HEADS), averaged by `weights`, and is calibrated.
        Raises ModelError for malformed bytes.
        """
        return np.array(calibrate(query, self.score_raw(query, stored, weights)), dtype=np.float32)

    def score_raw(
        self, query: EncodedQuery, stored: Sequence[bytes], weights: Sequence[float] = (1.0, 0.0, 0.0)
    ) -> Floats:
        """Return the probability (n,) of each product before calibration: what a search adds evidence to.

        Raises ModelError for malformed bytes.
        """
        return score_products(self.scorer, query, stored, weights, self.config.stored_tokens)


def load_model(folder: Path | None = None, threads: int = 0) -> Model:
    """Return the model in `folder`, or the shipped one for None. Raises ModelError.

    `threads` encode products, and one query; 0 takes all cores for products, one for a query.
    """
    return Model(folder if folder is not None else locate_shipped_model(), threads)


def locate_shipped_model() -> Path:
    """Folder of the weights that come with Attune."""
    return Path(str(resources.files("reranker").joinpath("weights")))


def compute_version(folder: Path) -> str:
    """Return the version of a model folder: 12 hex digits of a hash over its files and the stored form."""
    digest = hashlib.sha256(repr(FORMATS).encode())
    own = (PRODUCT_TOKENIZER,) if (folder / PRODUCT_TOKENIZER).is_file() else ()
    for name in (*FILES, *own):
        digest.update(hashlib.sha256((folder / name).read_bytes()).digest())
    return digest.hexdigest()[:12]


def read_tokenizer(path: Path) -> Tokenizer:
    """Read a tokenizer.json, without padding and truncation. Raises ModelError."""
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exception
        raise ModelError(f"{path} is not a tokenizer: {error}") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def read_config(path: Path) -> ModelConfig:
    """Read a config. Raises ModelError where a value is missing, unknown or out of range."""
    try:
        values = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        unknown = values.keys() - {f.name for f in fields(ModelConfig)}
        if unknown:
            raise ModelError(f"{path} is not a model config: {', '.join(sorted(unknown))} is unknown")
        config = msgspec.convert(values, ModelConfig)
    except (OSError, msgspec.DecodeError, msgspec.ValidationError) as error:
        raise ModelError(f"{path} is not a model config: {error}") from error
    if config.token_bits == 1 and config.token_width % 8:
        raise ModelError(f"{path}: token_width {config.token_width} must be a multiple of 8 for token_bits 1")
    return config


def write_config(path: Path, config: ModelConfig) -> None:
    """Write a config as readable JSON."""
    text = json.dumps(asdict(config), indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def read_scorer(path: Path, config: ModelConfig) -> tuple[Scorer, Floats]:
    """Read the scorer and the token projection (d, t).

    Raises ModelError where an array is missing, is not finite or does not fit the config.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            idf_table = IdfTable(arrays["idf"].astype(np.float32), arrays["lengths"])
            learnt = {f.name: arrays[f.name] for f in fields(Scorer) if f.name != "idf_table"}
            projection = arrays["projection"]
            learnt["temperature"] = learnt["temperature"].item()
            scorer = Scorer(idf_table=idf_table, **learnt)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise ModelError(f"{path} does not hold a scorer: {error}") from error
    _check_scorer(path, scorer, projection, config)
    return scorer, projection


def _check_scorer(path: Path, scorer: Scorer, projection: Floats, config: ModelConfig) -> None:
    inputs = len(FEATURES) + config.token_width
    shapes = {
        "projection": (projection, (config.dimension, config.token_width)),
        "idf": (scorer.idf_table.idf, (1 << 16,)),
        "lengths": (scorer.idf_table.lengths, (len(WORD_FIELDS),)),
        "mean": (scorer.mean, (inputs,)),
        "scale": (scorer.scale, (inputs,)),
        "hidden": (scorer.hidden, (inputs, HIDDEN_UNITS)),
        "hidden_bias": (scorer.hidden_bias, (HIDDEN_UNITS,)),
        "output": (scorer.output, (HIDDEN_UNITS, len(HEADS))),
        "output_bias": (scorer.output_bias, (len(HEADS),)),
        "scaling": (scorer.scaling, (3,)),
    }
    for name, (array, shape) in shapes.items():
        if array.shape != shape:
            raise ModelError(
                f"{path}: {name} has shape {array.shape}, where its config.json asks for {shape}"
            )
        if not np.isfinite(array).all():
            raise ModelError(f"{path}: {name} holds a value that is not finite")
    if not (np.isfinite(scorer.temperature) and scorer.temperature > 0):
        raise ModelError(f"{path}: temperature is {scorer.temperature}: it must be more than 0")
    for tokens in (1, LONGEST):
        slope, _ = compute_scale(scorer.scaling, tokens)
        if slope <= 0:
            raise ModelError(f"{path}: scaling turns the order of products round at {tokens} tokens")


def write_scorer(path: Path, scorer: Scorer, projection: Floats) -> None:
    """Write the scorer and the token projection (d, t)."""
    learnt = {f.name: getattr(scorer, f.name) for f in fields(Scorer) if f.name != "idf_table"}
    idf = scorer.idf_table.idf.astype(np.float16)
    np.savez(path, projection=projection, idf=idf, lengths=scorer.idf_table.lengths, **learnt)

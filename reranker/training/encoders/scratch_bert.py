"""A small BERT made of nothing but a catalogue: for a language that no encoder at hand reads.

It learns as retrievers do (in-batch contrastive loss, van den Oord et al. 2018): a query made of a product's
own words, its category and its brand must find that product's text among others'. Products that hold all of
the query's words are no wrong answers. A word that products of several kinds share is thrown into every other
query, so that what a thing is comes to outweigh what is said of it: 新款手机 is a phone, though 新款 stands
in titles of dresses. Seconds to minutes on a CPU; a pretrained encoder knows far more, where there is one.
"""

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing
from torch import Tensor
from torch.nn import functional as F
from transformers import BertConfig, BertModel

from mappings.errors import CatalogueError
from mappings.types import Product
from reranker.text.product_text import build_product_text
from reranker.text.word_tokens import split_words
from reranker.training.encoders.gpt2 import mean_pool
from reranker.training.recipe import ScratchConfig
from reranker.training.run.progress import ReportProgress

NEW = "new"
"""Name of an encoder that is made from the catalogue, where others are named."""

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
POSITIONS = 192
"""More than are trained: what stands further down in a text is read all the same."""
_FEWEST = 8
"""Fewest products: each must be distinguished from the others in its batch."""


def train_small_bert(
    products: Sequence[Product],
    folder: Path,
    config: ScratchConfig,
    progress: ReportProgress,
) -> Path:
    """Train a BERT on `products`, write it to `folder` in the hub's format, and return `folder`. Seeded.

    Raises CatalogueError for a catalogue of a handful.
    """
    if len(products) < _FEWEST:
        raise CatalogueError(
            f"{len(products)} products are too few to make an encoder of: {_FEWEST} or more are needed, "
            "or name a pretrained one"
        )
    texts = [build_product_text(p).pooled for p in products]
    tokenizer = _tokenizer(texts, config)
    torch.manual_seed(config.seed)
    network = BertModel(
        BertConfig(
            vocab_size=tokenizer.get_vocab_size(),
            hidden_size=config.width,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            intermediate_size=4 * config.width,
            max_position_embeddings=POSITIONS,
        ),
        add_pooling_layer=False,
    )
    _train(network, tokenizer, products, texts, config, progress)
    folder.mkdir(parents=True, exist_ok=True)
    network.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def _tokenizer(texts: Sequence[str], config: ScratchConfig) -> Tokenizer:
    """Return a WordPiece of the catalogue's characters and frequent words; each Han character is a token.

    The vocabulary is counted here: the library's trainer breaks ties another way each time.
    """
    normalizer, cutter = BertNormalizer(lowercase=True, handle_chinese_chars=True), BertPreTokenizer()
    counts = Counter(
        word for text in texts for word, _ in cutter.pre_tokenize_str(normalizer.normalize_str(text))
    )
    letters = sorted({letter for word in counts for letter in word})
    inside = sorted({f"##{letter}" for word in counts for letter in word[1:]})
    often = sorted(
        (word for word in counts if len(word) > 1 and counts[word] > 1), key=lambda w: (-counts[w], w)
    )
    vocabulary = list(dict.fromkeys([*_SPECIAL, *letters, *inside, *often]))
    most = max(config.vocabulary, len(_SPECIAL) + len(letters) + len(inside))
    tokenizer = Tokenizer(
        WordPiece({token: i for i, token in enumerate(vocabulary[:most])}, unk_token="[UNK]")
    )
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, cutter
    marks = [(mark, tokenizer.token_to_id(mark)) for mark in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=marks)
    tokenizer.enable_truncation(config.tokens)
    return tokenizer


def _train(
    network: BertModel,
    tokenizer: Tokenizer,
    products: Sequence[Product],
    texts: Sequence[str],
    config: ScratchConfig,
    progress: ReportProgress,
) -> None:
    chooser = random.Random(config.seed)
    text_ids = [e.ids for e in tokenizer.encode_batch(list(texts))]
    common = _common(products)
    text_words = [frozenset(split_words(text)) for text in texts]
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.learning_rate, total_steps=config.steps, pct_start=0.1
    )
    network.train()
    for step in range(config.steps):
        rows = chooser.sample(range(len(products)), min(config.batch, len(products)))
        made = [_query(products[row], chooser) for row in rows]
        strange = [
            f"{query} {chooser.choice(common)}" if chooser.random() < config.strange_share else query
            for query in made
        ]
        x = _pooled(network, [e.ids for e in tokenizer.encode_batch(strange)])  # (B, d)
        y = _pooled(network, [text_ids[row] for row in rows])  # (B, d)
        loss = compute_contrastive_loss(
            x, y, _answers(made, [text_words[row] for row in rows]), config.temperature
        )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        progress(step + 1, config.steps)
    network.eval()
    tokenizer.no_truncation()


def compute_contrastive_loss(x: Tensor, y: Tensor, answers: NDArray[np.bool_], temperature: float) -> Tensor:
    """Loss of unit queries x (B, d), each made of the product of unit text y (B, d) in the same row.

    `answers` (B, B) says which other products answer a query as well: they count neither way.
    """
    cosines = x @ y.T / temperature  # (B, B)
    others = torch.from_numpy(answers & ~np.eye(len(answers), dtype=bool))
    right = torch.arange(len(x))
    by_query = F.cross_entropy(cosines.masked_fill(others, -1e4), right)
    return by_query + F.cross_entropy(cosines.T.masked_fill(others.T, -1e4), right)


def _answers(queries: Sequence[str], texts: Sequence[frozenset[str]]) -> NDArray[np.bool_]:
    return np.array(
        [[query_words <= text for text in texts] for query_words in map(frozenset, map(split_words, queries))]
    )


def _query(product: Product, chooser: random.Random) -> str:
    """One to three of a product's pieces; its category is among them two times in three."""
    first, *others = _pieces(product)
    chooser.shuffle(others)
    chosen = others[: chooser.randint(0, 2)] + ([first] if chooser.random() < 0.65 else [])
    chooser.shuffle(chosen)
    return " ".join(chosen or [first])


def _common(products: Sequence[Product]) -> list[str]:
    """Return the title words that products of several kinds share: they tell little of what a thing is."""
    kinds: dict[str, set[str]] = {}
    for product in products:
        kind = _pieces(product)[0]
        for word in product.title.split():
            if word != product.brand:
                kinds.setdefault(word, set()).add(kind)
    return sorted(word for word, word_kinds in kinds.items() if len(word_kinds) > 1) or [""]


def _pieces(product: Product) -> list[str]:
    """A product's last category, or its title's last word, and then everything else a shopper may name."""
    title = product.title.split() or product.description.split()[:8]
    kind = product.category.split(">")[-1].strip() or (title[-1] if title else product.brand)
    values = [v for v in product.attributes.values() if isinstance(v, str) and len(v) <= 20]
    return [kind, *dict.fromkeys(p for p in (*title, product.brand, *values) if p and p != kind)]


def _pooled(network: BertModel, ids: Sequence[Sequence[int]]) -> Tensor:
    lengths = torch.tensor([len(i) for i in ids])
    padded = torch.zeros(len(ids), int(lengths.max()), dtype=torch.long)
    for row, i in enumerate(ids):
        padded[row, : len(i)] = torch.tensor(i)
    mask = (torch.arange(padded.shape[1]) < lengths[:, None]).long()
    return mean_pool(network(input_ids=padded, attention_mask=mask).last_hidden_state, lengths)

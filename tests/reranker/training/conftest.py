from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

from mappings.types import Product

NOUNS = ("mouse", "keyboard", "toner", "cable", "monitor", "laptop")
COLOURS = ("red", "blue", "black", "white")
BRANDS = ("acme", "logi", "brother")


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two small layers with random weights, saved as Hugging Face's hub has them."""
    import torch
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("bert")
    letters = list("abcdefghijklmnopqrstuvwxyz0123456789")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", ".", ",", *NOUNS, *COLOURS, *BRANDS, *letters]
    vocabulary += [f"##{c}" for c in letters]
    ids = {token: i for i, token in enumerate(vocabulary)}
    tokenizer = Tokenizer(WordPiece(ids, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=64,
        initializer_range=0.2,
    )
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def products() -> list[Product]:
    """A catalogue of 72 products."""
    return [
        Product(
            f"{brand}-{colour}-{noun}",
            f"{brand} {noun} {i}{colour}",
            brand,
            noun,
            f"a {colour} {noun}",
            {"colour": colour},
        )
        for i, (noun, colour, brand) in enumerate(
            (noun, colour, brand) for noun in NOUNS for colour in COLOURS for brand in BRANDS
        )
    ]

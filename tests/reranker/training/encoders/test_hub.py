"""Encoders as the hub has them: tiny ones of several kinds, made on the spot."""

import json
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from transformers import (
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    ElectraConfig,
    ElectraModel,
    GPT2Config,
    GPT2LMHeadModel,
    GPT2Model,
    PreTrainedModel,
    RobertaConfig,
    RobertaModel,
    T5Config,
    T5Model,
)

from mappings.errors import ModelError
from mappings.types import Judgement, Product
from reranker.encoders.onnx_tower import Tower
from reranker.encoders.product_encoder import TokenRow, tokenise_products
from reranker.model import PRODUCT_TOKENIZER, Model, load_model
from reranker.text.product_text import ProductText, build_product_text
from reranker.training.distillation.product_distillation import distil_tower
from reranker.training.distillation.teacher import (
    TeacherStates,
    align_states,
    compute_product_states,
    compute_teacher_states,
    tokenise_readings,
)
from reranker.training.distillation.towers import start_from_encoder
from reranker.training.encoders.bert import Bert
from reranker.training.encoders.export import export_query_tower
from reranker.training.encoders.gpt2 import ProductTower, mean_pool
from reranker.training.encoders.hub import load_tokenizer
from reranker.training.encoders.initialisation import build_tower_from_bert, load_gpt2_tower, spread_layers
from reranker.training.pipeline import run_training
from reranker.training.plan import TrainingPlan
from reranker.training.recipe import DistillationConfig, Recipe, ScorerConfig, SoftConfig

CHINESE = ["购买新款手机", "苹果 iPhone 13 手机壳", "连衣裙 夏季 新款", "a red mouse", "华为手机 256GB"]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


def quiet(done: int, total: int) -> None:
    assert 0 < done <= total


def byte_level(folder: Path, texts: list[str]) -> Tokenizer:
    """Save a tokenizer like GPT-2's own, without markers."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    trainer = BpeTrainer(
        vocab_size=400,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    return tokenizer


def characters(folder: Path, texts: list[str]) -> int:
    """Save a vocab.txt of single characters, as bert-base-chinese has it; return its size."""
    letters = sorted({c for c in "".join(texts).lower() if not c.isspace()})
    vocabulary = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *letters,
        *(f"##{c}" for c in letters if c.isascii()),
    ]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return len(vocabulary)


def saved(network: PreTrainedModel, folder: Path) -> Path:
    network.save_pretrained(folder)
    return folder


def gpt2_config(vocabulary: int, **more: object) -> GPT2Config:
    sizes = {"n_positions": 48, "n_embd": 48, "n_layer": 2, "n_head": 4, "initializer_range": 0.2}
    return GPT2Config(vocab_size=vocabulary, bos_token_id=0, eos_token_id=0, **{**sizes, **more})


@pytest.fixture(scope="session")
def tiny_gpt2(tmp_path_factory: pytest.TempPathFactory, products: list[Product]) -> Path:
    """A GPT-2 as `gpt2` is: byte-level BPE, and wider than the BERT."""
    folder = tmp_path_factory.mktemp("gpt2")
    vocabulary = byte_level(folder, [build_product_text(p).pooled for p in products]).get_vocab_size()
    torch.manual_seed(2)
    return saved(GPT2LMHeadModel(gpt2_config(vocabulary)), folder)


def test_a_gpt2s_weights_are_taken_as_they_are(tiny_gpt2: Path) -> None:
    tower = load_gpt2_tower(tiny_gpt2, 32, 16).eval()
    assert tower.positions == 16
    ids = torch.randint(0, 200, (2, 9))
    with torch.inference_mode():
        theirs = GPT2Model.from_pretrained(tiny_gpt2).eval()(ids).last_hidden_state
        assert torch.allclose(tower.transformer(ids), theirs, atol=1e-5)
        assert tower(ids).shape == (2, 9, 32)


def test_positions_are_what_the_gpt2_has(tiny_gpt2: Path) -> None:
    assert load_gpt2_tower(tiny_gpt2, 32, 96).positions == 48


def cosine(tower: ProductTower, teacher: TeacherStates) -> float:
    found = []
    for ids, states in zip(teacher.ids, teacher.states, strict=True):
        with torch.inference_mode():
            ours = mean_pool(tower(torch.from_numpy(ids)[None]), torch.tensor([len(ids)]))[0].numpy()
        theirs = states.astype(np.float32).mean(0)
        found.append(float(ours @ theirs / np.linalg.norm(theirs)))
    return float(np.mean(found))


def test_distillation_crosses_tokenizers_and_widths(
    tiny_bert: Path, tiny_gpt2: Path, products: list[Product]
) -> None:
    bert = Bert(tiny_bert)
    start = start_from_encoder(bert, str(tiny_gpt2), Recipe(product_tokens=32))
    texts = tokenise_readings(
        bert, start.tokenizer, [build_product_text(p) for p in products], start.tower.positions
    )
    teacher = compute_product_states(bert, texts, quiet)
    assert [s.shape for s in teacher.states] == [(len(t.product.ids), 32) for t in texts]
    config = DistillationConfig(steps=50, batch=16, warmup=5, learning_rate=5e-3)
    before = cosine(start.tower.eval(), teacher)
    tower = distil_tower(start.tower, teacher, np.ones(len(texts)), config, quiet)
    assert cosine(tower, teacher) > max(before + 0.2, 0.8)


def test_towers_of_two_tokenizers_and_widths_become_one_model(
    tiny_bert: Path, tiny_gpt2: Path, products: list[Product], tmp_path: Path
) -> None:
    recipe = Recipe(
        product=DistillationConfig(steps=30, batch=8, warmup=2, learning_rate=5e-3),
        soft=SoftConfig(queries=20),
        scorer=ScorerConfig(epochs=2),
        token_width=16,
    )
    judgements = [
        Judgement(noun, p.id, 3 if p.category == noun else 0)
        for noun in ("mouse", "toner")
        for p in products[::5]
    ]
    folder = tmp_path / "model"
    plan = TrainingPlan(
        folder,
        products,
        judgements=judgements,
        query_encoder=str(tiny_bert),
        product_encoder=str(tiny_gpt2),
        cross_validate=True,
        recipe=recipe,
    )
    run_training(plan, lambda _: quiet)
    model = load_model(folder)
    assert model.config.product_tokens == 48
    assert model.product_tokenizer.get_vocab() == load_tokenizer(tiny_gpt2).get_vocab()
    assert model.tokenizer.get_vocab() == load_tokenizer(tiny_bert).get_vocab()
    query = model.encode_query("red mouse")
    assert query.tokens.shape == (2, 16)
    encoded = model.encode_products([*products[:9], Product("long", "mouse " * 200)])
    scores = model.score(query, [e.stored for e in encoded])
    assert np.isfinite(scores).all()
    (folder / PRODUCT_TOKENIZER).write_text(load_tokenizer(tiny_bert).to_str())
    assert Model(folder).version != model.version


def test_a_token_learns_from_what_the_teacher_said_of_its_characters() -> None:
    states = np.arange(10, dtype=np.float16).reshape(5, 2)
    #          [CLS]   ab      cd      [SEP]   attended
    teacher = TokenRow([2, 7, 8, 3, 9], 4, [-1, 0, 1, -1, 2], [(0, 0), (0, 2), (2, 4), (4, 4), (5, 7)])
    #          a       bcd     white   attended
    product = TokenRow([1, 2, 3, 4], 3, [0, 0, -1, 1], [(0, 1), (1, 4), (4, 4), (5, 7)])
    assert align_states(states, teacher, product).tolist() == [[2, 3], [3, 4], [6, 7], [8, 9]]


def test_the_same_tokenizer_needs_no_alignment(tiny_bert: Path, products: list[Product]) -> None:
    bert = Bert(tiny_bert)
    texts = tokenise_readings(
        bert, load_tokenizer(tiny_bert), [build_product_text(p) for p in products[:4]], 16
    )
    assert all(text.teacher is text.product for text in texts)
    direct = compute_teacher_states(bert, [text.product.ids for text in texts], quiet)
    for ours, theirs in zip(compute_product_states(bert, texts, quiet).states, direct.states, strict=True):
        assert np.array_equal(ours, theirs)


def test_chinese_towers_of_the_hubs_kind_load_from_vocab_txt(tmp_path: Path) -> None:
    query, product = tmp_path / "query", tmp_path / "product"
    query.mkdir()
    product.mkdir()
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    saved(BertModel(BertConfig(vocab_size=characters(query, CHINESE), **sizes)), query)
    saved(GPT2LMHeadModel(gpt2_config(characters(product, CHINESE[::-1]))), product)
    bert = Bert(query)
    assert bert.tokenizer.encode("新款手机").tokens == ["[CLS]", "新", "款", "手", "机", "[SEP]"]
    start = start_from_encoder(bert, str(product), Recipe(product_tokens=32))
    [reading] = tokenise_readings(bert, start.tokenizer, [ProductText("苹果 iPhone 手机", "新款")], 32)
    assert reading.product.words[1:3] == [0, 1]  # each character is a word
    [states] = compute_product_states(bert, [reading], quiet).states
    assert states.shape == (len(reading.product.ids), 32)


def test_byte_level_words_are_the_tokenizers_but_chinese_ones_its_tokens(tmp_path: Path) -> None:
    tokenizer = byte_level(tmp_path, CHINESE)
    [row] = tokenise_products(tokenizer, [ProductText("red mouse, 手壳", "red")], 64)
    [text] = ["red mouse, 手壳"]
    words: dict[int, set[str]] = {}
    for word, (start, end) in zip(row.words, row.spans, strict=True):
        words.setdefault(word, set()).add((text + "\nred")[start:end].strip())
    assert words.pop(-1) <= {",", ""}
    assert [sorted(of) for of in words.values()][-3:] == [["手"], ["壳"], sorted(words[max(words)])]
    assert len(words) == 5  # red, mouse, 手, 壳, red


ENCODERS = {
    "roberta": lambda v: RobertaModel(
        RobertaConfig(vocab_size=v, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
                      intermediate_size=128, max_position_embeddings=40, type_vocab_size=1)
    ),
    "electra": lambda v: ElectraModel(
        ElectraConfig(vocab_size=v, embedding_size=16, hidden_size=32, num_hidden_layers=2,
                      num_attention_heads=2, intermediate_size=128)
    ),
    "distilbert": lambda v: DistilBertModel(
        DistilBertConfig(vocab_size=v, dim=32, n_layers=2, n_heads=2, hidden_dim=64)
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", ENCODERS)
def test_other_encoders_are_read_and_exported(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(4)
    bert = Bert(saved(ENCODERS[kind](characters(tmp_path, CHINESE)), tmp_path))
    assert bert.dimension == 32
    assert bert.most_tokens == {"roberta": 38, "electra": 512, "distilbert": 512}[kind]
    [ids] = bert.token_ids(["新款手机 " * 30], 100)
    assert len(ids) == min(100, bert.most_tokens)
    export_query_tower(bert, tmp_path / "query.onnx")
    found = Tower(tmp_path / "query.onnx", 1).states(np.array([ids[:9]]), np.array([9]))[0].ravel()
    wanted = bert.states([ids[:9]])[0][0].numpy().ravel()
    assert found @ wanted / np.linalg.norm(found) / np.linalg.norm(wanted) > 0.97


def test_a_roberta_can_be_what_the_product_tower_starts_from(tmp_path: Path) -> None:
    torch.manual_seed(4)
    bert = Bert(saved(ENCODERS["roberta"](characters(tmp_path, CHINESE)), tmp_path))
    assert build_tower_from_bert(bert, (0, 1), 96).positions == 38


@pytest.mark.parametrize("kind", ["electra", "distilbert"])
def test_an_encoder_laid_out_otherwise_needs_a_gpt2_beside(kind: str, tmp_path: Path) -> None:
    bert = Bert(saved(ENCODERS[kind](characters(tmp_path, CHINESE)), tmp_path))
    with pytest.raises(ModelError, match="name a GPT-2"):
        start_from_encoder(bert, None, Recipe(product_tokens=32))


def test_layers_are_taken_evenly() -> None:
    assert [spread_layers(n, 4) for n in (1, 2, 6, 12)] == [(0,), (0, 1), (0, 2, 4, 5), (0, 4, 8, 11)]
    assert [spread_layers(n, 2) for n in (1, 2, 4)] == [(0,), (0, 1), (0, 3)]


def test_what_is_no_encoder_is_refused(tmp_path: Path, tiny_gpt2: Path) -> None:
    with pytest.raises(ModelError, match="is a gpt2 that reads to the left only"):
        Bert(tiny_gpt2)
    t5 = T5Model(
        T5Config(
            vocab_size=characters(tmp_path, CHINESE), d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2
        )
    )
    with pytest.raises(ModelError, match="is a t5, not an encoder"):
        Bert(saved(t5, tmp_path))


def test_what_is_no_gpt2_is_refused(tiny_bert: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is a bert: the product tower needs a GPT-2"):
        load_gpt2_tower(tiny_bert, 32, 16)
    saved(GPT2Model(gpt2_config(20, scale_attn_by_inverse_layer_idx=True)), tmp_path)
    with pytest.raises(ModelError, match=r"another build .scale_attn_by_inverse_layer_idx"):
        load_gpt2_tower(tmp_path, 32, 16)


def test_what_is_not_there_is_said_with_what_to_do(tiny_bert: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no/such-model is not a model that can be loaded: there is no"):
        Bert("no/such-model")
    with pytest.raises(ModelError, match="a folder needs config"):
        Bert(tmp_path)
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((tiny_bert / name).read_bytes())
    with pytest.raises(ModelError, match=r"neither a tokenizer\.json nor a vocabulary"):
        Bert(tmp_path)


def test_a_tokenizer_of_another_network_is_refused(tiny_bert: Path, tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((tiny_bert / name).read_bytes())
    byte_level(tmp_path, CHINESE)
    with pytest.raises(ModelError, match="not a pair"):
        Bert(tmp_path)

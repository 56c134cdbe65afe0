import pytest
import torch
from transformers import GPT2Config as HuggingFaceConfig
from transformers import GPT2Model

from reranker.training.encoders.gpt2 import GPT2, GPT2Config, mean_pool


@pytest.fixture
def ours() -> GPT2:
    torch.manual_seed(3)
    return GPT2(GPT2Config(vocab_size=50, n_positions=16, n_embd=24, n_layer=2, n_head=3)).eval()


def test_states_equal_hugging_faces(ours: GPT2) -> None:
    theirs = GPT2Model(
        HuggingFaceConfig(vocab_size=50, n_positions=16, n_embd=24, n_layer=2, n_head=3)
    ).eval()
    missing, unexpected = theirs.load_state_dict(ours.state_dict(), strict=False)
    assert not unexpected
    assert not [name for name in missing if not name.endswith(("attn.bias", "attn.masked_bias"))]
    ids = torch.randint(0, 50, (3, 11))
    with torch.inference_mode():
        assert torch.allclose(ours(ids), theirs(ids).last_hidden_state, atol=1e-5)


def test_what_comes_later_changes_nothing_before(ours: GPT2) -> None:
    ids = torch.randint(0, 50, (1, 10))
    longer = torch.cat([ids, torch.randint(0, 50, (1, 4))], 1)
    with torch.inference_mode():
        assert torch.allclose(ours(ids), ours(longer)[:, :10], atol=1e-5)


def test_pooling_leaves_padding_out() -> None:
    states = torch.tensor([[[2.0, 0], [0, 2], [9, 9]]])
    assert torch.allclose(mean_pool(states, torch.tensor([2])), torch.tensor([[0.5**0.5, 0.5**0.5]]))

import numpy as np
import torch

from reranker.fusion import FEATURES
from reranker.training.scorer import Example, FusionMLP, ScorerConfig, exported, prior_logits, train_scorer

WIDTH = len(FEATURES) + 4
RANDOM = np.random.default_rng(5)


def inputs(n: int) -> np.ndarray:
    return RANDOM.random((n, WIDTH)).astype(np.float32)


def auc(scores: np.ndarray, positive: np.ndarray) -> float:
    return float((scores[positive][:, None] > scores[~positive][None, :]).mean())


def test_an_untrained_network_is_the_prior() -> None:
    torch.manual_seed(1)
    x = inputs(200)
    network = FusionMLP(x.mean(0), 1 / x.std(0)).eval()
    with torch.inference_mode():
        logits = network(torch.from_numpy(x))
        prior = prior_logits(torch.from_numpy(x))
    offset = logits - prior
    assert torch.allclose(offset, offset.mean().expand_as(offset), atol=1e-3)


def test_training_learns_what_graded_lists_say() -> None:
    at = FEATURES.index("numbers")
    examples = []
    for _ in range(60):
        x = inputs(12)
        good = x[:, at] > 0.6
        examples.append(Example(x, good.astype(np.float32), good.astype(np.float32)))
    config = ScorerConfig(epochs=200, prior_weight=0.0, weight_decay=0.0)
    scorer = train_scorer(examples, 0.05, config)
    x = inputs(300)
    good = x[:, at] > 0.6
    found = scorer.probability(x)
    assert auc(found, good) > 0.9
    assert found[good].mean() > 0.5 > found[~good].mean()


def test_training_is_seeded() -> None:
    examples = [Example(inputs(6), RANDOM.random(6).astype(np.float32), None) for _ in range(8)]
    first, second = (train_scorer(examples, 0.05, ScorerConfig(epochs=2)) for _ in range(2))
    assert np.array_equal(first.hidden, second.hidden)


def test_the_export_computes_what_the_network_computes() -> None:
    x = inputs(50)
    network = FusionMLP(x.mean(0), 1 / x.std(0)).eval()
    with torch.inference_mode():
        expected = network(torch.from_numpy(x)).sigmoid().numpy()
    assert np.allclose(exported(network, 0.05).probability(x), expected, atol=1e-5)

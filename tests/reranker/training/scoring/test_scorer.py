from dataclasses import replace

import numpy as np
import torch

from reranker.fusion import FEATURES, HEADS, IdfTable, Scorer
from reranker.length_scaling import calibrate, compute_scale
from reranker.training.recipe import ScorerConfig
from reranker.training.scoring.scorer import (
    Example,
    FusionMLP,
    compute_prior_logits,
    export_scorer,
    train_scorer,
)
from reranker.types import EncodedQuery

WIDTH = len(FEATURES) + 4
RANDOM = np.random.default_rng(5)


NONE = np.zeros(1, np.float32)
BLANK = Scorer(0.05, IdfTable(NONE, NONE), NONE, NONE, NONE, NONE, NONE, NONE)


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
        prior = compute_prior_logits(torch.from_numpy(x))[:, None].expand(-1, len(HEADS))
    offset = logits - prior
    assert torch.allclose(offset, offset.mean().expand_as(offset), atol=1e-3)


def test_training_learns_what_graded_lists_say() -> None:
    at = FEATURES.index("model_partial")
    examples = []
    for _ in range(60):
        x = inputs(12)
        good = x[:, at] > 0.6
        examples.append(Example(x, good.astype(np.float32), good.astype(np.float32)))
    config = ScorerConfig(epochs=200, prior_weight=0.0, weight_decay=0.0)
    scorer = train_scorer(examples, BLANK, config)
    x = inputs(300)
    good = x[:, at] > 0.6
    found = scorer.probability(x)
    assert auc(found, good) > 0.9
    assert found[good].mean() > 0.5 > found[~good].mean()


def test_training_is_seeded() -> None:
    examples = [Example(inputs(6), RANDOM.random(6).astype(np.float32), None) for _ in range(8)]
    first, second = (train_scorer(examples, BLANK, ScorerConfig(epochs=2)) for _ in range(2))
    assert np.array_equal(first.hidden, second.hidden)


def test_the_export_computes_what_the_network_computes() -> None:
    x = inputs(50)
    network = FusionMLP(x.mean(0), 1 / x.std(0)).eval()
    with torch.inference_mode():
        expected = network(torch.from_numpy(x)).sigmoid().numpy()  # (50, H)
    scorer = export_scorer(network, BLANK, {0, 1, 2})
    for head, weights in enumerate(np.eye(len(HEADS))):
        assert np.allclose(scorer.probability(x, weights.tolist()), expected[:, head], atol=1e-5)


def test_a_head_learns_from_its_own_examples_and_one_without_any_is_relevance() -> None:
    relevant, clicked = FEATURES.index("model_partial"), FEATURES.index("title_focus")
    examples = []
    for _ in range(60):
        for head, at in ((0, relevant), (1, clicked)):
            x = inputs(12)
            good = (x[:, at] > 0.6).astype(np.float32)
            examples.append(Example(x, good, good, head=head))
    config = ScorerConfig(epochs=200, prior_weight=0.0, weight_decay=0.0)
    scorer = train_scorer(examples, BLANK, config)
    x = inputs(300)
    relevance, click, purchase = (scorer.probability(x, weights.tolist()) for weights in np.eye(3))
    assert auc(relevance, x[:, relevant] > 0.6) > 0.85 > auc(relevance, x[:, clicked] > 0.6)
    assert auc(click, x[:, clicked] > 0.6) > 0.85 > auc(click, x[:, relevant] > 0.6)
    assert np.array_equal(purchase, relevance)
    both = scorer.probability(x, (1.0, 1.0, 0.0))
    assert auc(both, (x[:, relevant] > 0.6) & (x[:, clicked] > 0.6)) > 0.85


def test_probabilities_are_calibrated_on_judged_lists_and_orders_stay() -> None:
    at = FEATURES.index("cosine")
    examples = []
    for _ in range(40):
        x = inputs(25)
        right = (RANDOM.random(25) < 0.3 * x[:, at]).astype(
            np.float32
        )  # 15 % in all, whatever the prior says
        examples.append(Example(x, None, right))
    examples += [Example(inputs(1), None, np.ones(1, np.float32)) for _ in range(200)]
    scorer = train_scorer(examples, BLANK, ScorerConfig(epochs=1))
    x = inputs(4000)
    found = scorer.probability(x)
    assert abs(found.mean() - 0.15) < 0.03
    assert np.corrcoef(found, x[:, at])[0, 1] > 0.5


def test_without_judged_lists_the_anchor_of_the_base_calibrates() -> None:
    at = FEATURES.index("cosine")

    def judged(n: int) -> Example:
        x = inputs(n)
        return Example(x, None, (RANDOM.random(n) < 0.3 * x[:, at]).astype(np.float32))

    base = train_scorer([judged(25) for _ in range(80)], BLANK, ScorerConfig(epochs=1))
    assert np.isnan(BLANK.anchor).all()
    assert np.isfinite(base.anchor).all()
    made = [Example(inputs(25), RANDOM.random(25).astype(np.float32), None) for _ in range(40)]
    pairs = [Example(inputs(1), None, np.array([i % 10 > 0], np.float32)) for i in range(200)]
    x = inputs(4000)
    config = ScorerConfig(epochs=1)
    anchored = train_scorer([*made, *pairs], replace(BLANK, anchor=base.anchor), config)
    assert abs(anchored.probability(x).mean() - 0.15) < 0.04
    assert np.array_equal(anchored.anchor, base.anchor)
    assert train_scorer([*made, *pairs], BLANK, config).probability(x).mean() > 0.7


def test_lists_and_pairs_of_two_catalogues_scale_log_odds_by_the_length_of_queries() -> None:
    at = FEATURES.index("cosine")
    lists, pairs = [], []
    for _ in range(60):
        x = inputs(25)
        lists.append(Example(x, None, (RANDOM.random(25) < x[:, at]).astype(np.float32), tokens=1))
    for _ in range(1500):  # the cosine says nothing of long queries
        pairs.append(Example(inputs(1), None, np.float32([RANDOM.random() < 0.5]), tokens=5))
    config = ScorerConfig(epochs=1, pair_weight=0.0)
    scaled = train_scorer([*lists, *pairs], BLANK, config)
    query = EncodedQuery("", NONE, NONE[None], ())
    x = inputs(2000)
    long = calibrate(replace(query, scale=compute_scale(scaled.scaling, 5)), scaled.probability(x).tolist())
    short = calibrate(replace(query, scale=compute_scale(scaled.scaling, 1)), scaled.probability(x).tolist())
    assert np.std(long) < 0.5 * np.std(short)
    assert abs(np.mean(long) - 0.5) < 0.1
    assert abs(np.mean(short) - 0.5) < 0.1
    assert train_scorer(lists, BLANK, config).scaling.tolist() == [1, 0, 0]
    base = replace(BLANK, scaling=np.array([0.9, -0.1, 0.2], np.float32))
    assert np.array_equal(train_scorer(pairs, base, config).scaling, base.scaling)

from collections.abc import Iterator

import numpy as np
import pytest

from mappings.errors import LabelsError
from reranker.encoders.codec import normalise
from reranker.pictures.fitting import fit_projection
from reranker.types import Floats

SPACE = "texts"


def make_pairs(count: int, noise: float = 0.3, seed: int = 3) -> Iterator[tuple[Floats, Floats]]:
    """Pairs whose texts are a linear map of the pictures, with noise; in batches."""
    rng = np.random.default_rng(seed)
    turn = np.random.default_rng(1).normal(size=(12, 8))
    for _ in range(0, count, 50):
        x = rng.normal(size=(50, 12)) + 1.0
        y = (x - 1.0) @ turn + noise * rng.normal(size=(50, 8))
        yield normalise(x.astype(np.float32)), normalise(y.astype(np.float32))


def test_what_pictures_and_texts_have_in_common_is_learnt() -> None:
    learnt, report = fit_projection(make_pairs(2000), SPACE, None, seed=1)
    assert report.is_better
    assert report.recall > 5 * report.chance
    assert 100 < report.aside < 400
    assert report.pairs == 2000
    assert (learnt.space, learnt.matrix.shape) == (SPACE, (12, 8))


def test_pairs_that_have_nothing_in_common_keep_the_start() -> None:
    rng = np.random.default_rng(5)
    x, y = (normalise(rng.normal(size=(600, n)).astype(np.float32)) for n in (12, 8))
    _, report = fit_projection([(x, y)], SPACE, None, seed=1)
    assert not report.is_better


def test_the_same_again_is_not_better() -> None:
    learnt, _ = fit_projection(make_pairs(2000), SPACE, None, seed=1)
    _, report = fit_projection(make_pairs(2000), SPACE, learnt, seed=1)
    assert not report.is_better
    assert report.before == pytest.approx(report.recall, abs=0.02)


@pytest.mark.parametrize("count", [0, 50])
def test_too_few_pairs_are_refused(count: int) -> None:
    with pytest.raises(LabelsError, match="at least 50"):
        fit_projection(make_pairs(count), SPACE, None, seed=1)

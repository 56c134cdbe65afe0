import numpy as np

from reranker.training.distillation.teacher import TeacherStates
from reranker.training.scoring.preparation import fit_token_projection


def test_a_projection_for_bits_keeps_the_same_and_turns_it() -> None:
    states = np.random.default_rng(1).normal(size=(300, 24)) * np.linspace(3, 0.1, 24)
    teacher = TeacherStates([], [states[:200].astype(np.float16), states[200:].astype(np.float16)])
    plain, turned = (fit_token_projection(teacher, 8, 7, bits) for bits in (8, 1))
    x = states.astype(np.float32)
    np.testing.assert_allclose((x @ plain) @ (x @ plain).T, (x @ turned) @ (x @ turned).T, atol=1e-3)
    spread = [np.ptp((x @ projection).std(0)) for projection in (plain, turned)]
    assert spread[1] < spread[0] / 1.5  # no component tells much more than another

"""Distillation in a run: for as long as there is time, from checkpoint to checkpoint."""

import time

import numpy as np
from numpy.typing import NDArray

from reranker.training.distillation.product_distillation import Distillation
from reranker.training.distillation.teacher import QueryStates, TeacherStates
from reranker.training.encoders.gpt2 import ProductTower
from reranker.training.recipe import DistillationConfig
from reranker.training.run.device import choose_device
from reranker.training.run.files import write_atomically
from reranker.training.run.interrupt import hold_back_interrupt
from reranker.training.run.progress import ReportProgress
from reranker.training.run.run_folder import TrainingRun

_TRIAL_STEPS = 12
"""Steps, the first aside, that tell how fast distillation is here."""

_LATE = 1.1
"""How far past its time distillation may be heading before it is cut short."""

_CHECKPOINT = "distillation.pt"


def distil_within_budget(
    run: TrainingRun,
    tower: ProductTower,
    teacher: TeacherStates,
    weights: NDArray[np.float64],
    config: DistillationConfig,
    seconds: float | None,
    progress: ReportProgress,
    queries: QueryStates | None = None,
) -> tuple[ProductTower, int]:
    """Distil, from `run`'s checkpoint where it has one; return the tower and how many steps it took.

    `seconds` is what is left for it: `config.steps` are then the most it takes, and the first ones tell how
    many fit. None takes them all. Ctrl-C ends it between two steps, with a checkpoint.
    """
    work = Distillation(tower, teacher, weights, config, choose_device(), queries)
    file = run.work / _CHECKPOINT
    if file.is_file():
        work.load(file)
    pace = StepBudget(work.step, None if seconds is None else time.monotonic() + seconds)
    with hold_back_interrupt() as interrupted:
        while work.step < work.steps:
            work.advance()
            work.steps = pace.fitting(work.step, work.steps)
            progress(work.step, work.steps)
            stop = interrupted()
            if run.due() or stop or work.step == work.steps:
                with write_atomically(file) as unfinished:
                    work.save(unfinished)
                run.save()
            if stop:
                break
    return work.finished(), work.step


class StepBudget:
    """How many steps fit until a moment, from how long those since `step` took."""

    def __init__(self, step: int, until: float | None) -> None:
        self._first, self._until = step, until
        self._began = time.monotonic()

    def fitting(self, step: int, steps: int) -> int:
        """Return how many steps, those done included, to take of `steps`: fewer where time is short.

        Asked after every step: decides once enough are done, and again only when far too slow since.
        """
        now = time.monotonic()
        if step == self._first + 1:
            self._began = now  # the first one is slower: memory is being had
        if self._until is None:
            return steps
        if now >= self._until:
            return step
        done = step - self._first - 1
        if done < _TRIAL_STEPS:
            return steps
        fit = step + int((self._until - now) * done / (now - self._began))
        decided = self._first > 0 or done > _TRIAL_STEPS
        return fit if steps > step + (fit - step) * (_LATE if decided else 1.0) else steps

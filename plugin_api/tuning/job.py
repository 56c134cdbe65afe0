"""Tune the searches of one index by made queries: nothing changes that chance could explain."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from opensearchpy import OpenSearch

from mappings.errors import ClusterDown, IndexingError
from mappings.settings import SearchSettings, Settings, TunedSettings, is_free
from mappings.types import JsonObject, Product
from plugin_api.opensearch.client import OpenSearchClient
from plugin_api.search.result_set import rate_neighbours
from plugin_api.tuning.products import FactsReader, ReadProduct, fetch_sample
from plugin_api.tuning.replay import ProbeSearches, Replay
from plugin_api.tuning.report import KindFigures, TriedSetting, TuningReport
from reranker.probes.choice import FEWEST, Verdict, choose_floor, choose_setting, judge_kind
from reranker.probes.queries import ProbeQuery, make_nonsense, make_probe_queries
from reranker.types import Doubles, Reranker
from reranker.understanding.interpreter import QueryInterpreter
from reranker.understanding.kinds import LOOKS
from reranker.understanding.learning import learn_vocabulary
from reranker.understanding.type_index import TypeIndex, build_type_index
from reranker.understanding.vocabulary import CatalogueVocabulary

_SAMPLE = 2_000
"""Products that queries are made from."""

_NONSENSE = 40
_SEED = 11

_GATHER_SHARE = 0.7
"""Share of the time in which probes are gathered; the rest orders them under other settings."""

KEYWORD_WEIGHTS = (0.0, 1.5, 3.0, 5.0, 7.0, 10.0)
WINDOWS = (50, 100, 200)
FLOORS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8)
VECTOR_SHIFTS = (-0.2, 0.0, 0.2, 0.4)
"""The settings that are tried; `VECTOR_SHIFTS` are added to every vector weight."""

_VECTOR_WEIGHTS = ("vector_weight", "vector_weight_head", "vector_weight_model", "vector_weight_sentence")

Choice = tuple[tuple[str, float], ...]
"""Names and values of settings that are changed together."""


@dataclass(frozen=True, slots=True)
class TuningJob:
    """The index to tune, what searches it, and for how many `seconds` it may be probed.

    `make_query` is the shop's own keyword query for a text, made of the `template` where there is one.
    """

    client: OpenSearch
    opensearch: OpenSearchClient
    model: Reranker
    settings: Settings
    index: str
    make_query: Callable[[str], JsonObject]
    read_product: ReadProduct
    seconds: float
    template: JsonObject | None = None
    on_progress: Callable[[int], None] = field(default=lambda _: None)
    clock: Callable[[], float] = time.monotonic


def tune_index(job: TuningJob) -> TuningReport:
    """Probe the index and return what was chosen and why; nothing is written.

    Raises IndexingError where OpenSearch refuses the searches, and ClusterDown where it does not answer.
    """
    try:
        return _Tuning(job).run()
    except TimeoutError as error:
        raise ClusterDown(f"OpenSearch did not answer in time while {job.index} was probed") from error


class _Tuning:
    def __init__(self, job: TuningJob) -> None:
        self._job, self._base = job, job.settings.search
        self._began = job.clock()
        width = max(*WINDOWS, self._base.window)
        self._searches = ProbeSearches(
            job.opensearch, job.model, job.settings, job.index, job.make_query, width
        )
        self._replays: list[Replay] = []
        self._measured: dict[SearchSettings, Doubles] = {}

    def run(self) -> TuningReport:
        job = self._job
        sample = fetch_sample(job.client, job.index, _SAMPLE, job.read_product, _SEED)
        interpreter = self._searches.find_interpreter()
        vocabulary, types = _open_types(interpreter, sample)
        facts = FactsReader(job.client, job.index, job.read_product, has_facts=interpreter is not None)
        made = make_probe_queries(sample, vocabulary, types, _SEED)
        likeliest = self._gather(made, make_nonsense(sample, _NONSENSE, _SEED), facts)
        if not self._replays and self._searches.refusal:
            raise IndexingError(
                f"OpenSearch refuses the searches of {job.index}: {self._searches.refusal.error}"
            )
        if len(self._replays) < FEWEST:
            return TuningReport(job.index, len(self._replays), self._seconds, job.template)
        families = [replay.probe.family for replay in self._replays]
        tuned, steps = self._choose(families, likeliest)
        kinds, unimproved = self._judge(tuned.over(self._base, {}), families)
        if unimproved and is_free("keep_order", job.settings.origins):
            tuned = replace(tuned, keep_order=", ".join(unimproved))
        return TuningReport(
            job.index, len(self._replays), self._seconds, job.template, tuned, tuple(steps), tuple(kinds)
        )

    @property
    def _seconds(self) -> float:
        return self._job.clock() - self._began

    def _gather(self, made: Sequence[ProbeQuery], nonsense: Sequence[str], facts: FactsReader) -> list[float]:
        """Gather probes and nonsense in turn while there is time; return nonsense's best probabilities."""
        likeliest = []
        every = max(len(made) // max(len(nonsense), 1), 1)
        for number, probe in enumerate(made):
            if self._seconds > _GATHER_SHARE * self._job.seconds:
                break
            if replay := self._searches.gather(probe, facts):
                self._replays.append(replay)
            if number % every == 0 and number // every < len(nonsense):
                probability = self._searches.find_likeliest(nonsense[number // every])
                likeliest += [] if probability is None else [probability]
            self._job.on_progress(1)
        return likeliest

    def _choose(
        self, families: Sequence[str], nonsense: Sequence[float]
    ) -> tuple[TunedSettings, list[TriedSetting]]:
        """Choose one setting after the other, each with those chosen before it."""
        tuned, steps = TunedSettings(), []
        for name, choices in self._list_choices():
            if self._seconds > self._job.seconds:
                break
            settings = tuned.over(self._base, {})
            current = tuple((each, getattr(settings, each)) for each, _ in choices[0])
            figures: dict[Choice, Doubles] = {}
            for choice in dict.fromkeys((current, *choices)):
                changed = replace(settings, **dict(choice))
                figures[choice] = self._measure(changed)
            chosen = choose_setting(current, figures, families)
            means = {_name_choice(each): _mean(values, families) for each, values in figures.items()}
            steps.append(TriedSetting(name, means, _name_choice(current), _name_choice(chosen)))
            if chosen != current:
                tuned = replace(tuned, **dict(chosen))
        floor = choose_floor(self._base.floor, nonsense, self._list_known(), FLOORS)
        if floor != self._base.floor and is_free("floor", self._job.settings.origins):
            tuned = replace(tuned, floor=floor)
        return tuned, steps

    def _list_choices(self) -> Iterator[tuple[str, list[Choice]]]:
        origins, base = self._job.settings.origins, self._base
        if is_free("keyword_weight", origins):
            yield "keyword_weight", [(("keyword_weight", weight),) for weight in KEYWORD_WEIGHTS]
        weights = [name for name in _VECTOR_WEIGHTS if is_free(name, origins)]
        if weights:
            yield (
                "vector_weight",
                [
                    tuple(
                        (name, round(min(max(getattr(base, name) + shift, 0.0), 1.0), 2)) for name in weights
                    )
                    for shift in VECTOR_SHIFTS
                ],
            )
        if is_free("window", origins):
            yield "window", [(("window", window),) for window in WINDOWS]

    def _list_known(self) -> list[float]:
        """Return the probability of the likeliest product that answers each probe and only vectors find."""
        known = []
        for replay in self._replays:
            own = {hit.key for hit in replay.candidates.own}
            near = [
                hit
                for hit in replay.candidates.neighbours
                if hit.vectors and hit.id in replay.relevant and hit.key not in own
            ]
            known += [max(rate_neighbours(replay.query, near, replay.probability))] if near else []
        return known

    def _judge(
        self, settings: SearchSettings, families: Sequence[str]
    ) -> tuple[list[KindFigures], list[str]]:
        """Return figures by kind of query, and the kinds for which OpenSearch's order is kept."""
        own = np.array([replay.measure_own() for replay in self._replays])
        vectors = np.array([replay.measure_vectors() for replay in self._replays])
        before, after = self._measure(self._base), self._measure(settings)
        kinds: dict[str, list[int]] = {}
        for row, replay in enumerate(self._replays):
            kinds.setdefault(replay.kind, []).append(row)
        figures, unimproved = [], []
        for kind, rows in sorted(kinds.items(), key=lambda item: -len(item[1])):
            those = [families[row] for row in rows]
            verdict = judge_kind(own[rows], after[rows], those, needs_families=2 if kind in LOOKS else 1)
            unimproved += [kind] if verdict is Verdict.NOT_BETTER else []
            measured = (own, vectors, before, after)
            shop, near, then, now = (_mean(values[rows], those) for values in measured)
            figures.append(KindFigures(kind, len(rows), shop, near, then, now, verdict))
        return figures, unimproved

    def _measure(self, settings: SearchSettings) -> Doubles:
        """Return nDCG@10 of each probe under settings, once: choices share settings."""
        if settings not in self._measured:
            values = [replay.measure_attune(settings) for replay in self._replays]
            self._measured[settings] = np.array(values)
        return self._measured[settings]


def _open_types(
    interpreter: QueryInterpreter | None, sample: Sequence[Product]
) -> tuple[CatalogueVocabulary, TypeIndex]:
    """Return the index's vocabulary and types; those of the sample where the index has none."""
    if interpreter:
        return interpreter.vocabulary, interpreter.types
    vocabulary = learn_vocabulary(sample)
    return vocabulary, build_type_index(vocabulary, lambda _: np.zeros(1, dtype=np.float32))


def _mean(values: Doubles, families: Sequence[str]) -> float:
    """Return the mean over families of the mean over their queries."""
    rows: Mapping[str, list[int]] = {
        family: [row for row, each in enumerate(families) if each == family] for family in set(families)
    }
    return float(np.mean([values[each].mean() for each in rows.values()]))


def _name_choice(choice: Choice) -> str:
    """Return a choice by its first setting's value: those changed together differ by the same step."""
    return f"{choice[0][1]:g}"

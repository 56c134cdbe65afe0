"""What a check-up of an index chose, and why."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from mappings.settings import UNTUNED, TunedSettings
from mappings.types import JsonObject
from reranker.probes.choice import Verdict


@dataclass(frozen=True, slots=True)
class TriedSetting:
    """A setting that was tried: mean nDCG@10 over families by value, the value before, the one chosen."""

    setting: str
    figures: Mapping[str, float]
    before: str
    chosen: str


@dataclass(frozen=True, slots=True)
class KindFigures:
    """Mean nDCG@10 over the families of one kind of query: of OpenSearch's own order, of the vectors alone,
    and of Attune before and after.
    """

    kind: str
    queries: int
    own: float
    vectors: float
    before: float
    after: float
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class TuningReport:
    """The result of a check-up: the settings that differ from those before, tried steps, figures by kind.

    `template` is the shop's own search where it was given: the next rebuild probes with it as well.
    """

    index: str
    queries: int
    seconds: float
    template: JsonObject | None = None
    tuned: TunedSettings = UNTUNED
    steps: tuple[TriedSetting, ...] = ()
    kinds: tuple[KindFigures, ...] = ()

    def as_json(self) -> JsonObject:
        """Return the report as it is printed, and recorded in the index."""
        return {
            "settings": self.tuned.values,
            "template": self.template,
            "queries": self.queries,
            "seconds": round(self.seconds, 1),
            "steps": [asdict(step) | {"figures": _round(step.figures)} for step in self.steps],
            "kinds": [
                {
                    name: round(value, 4) if isinstance(value, float) else value
                    for name, value in asdict(kind).items()
                }
                for kind in self.kinds
            ],
        }


def _round(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in figures.items()}

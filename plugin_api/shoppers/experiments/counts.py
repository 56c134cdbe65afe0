"""Counts of an experiment's variants, and the guardrails that stop one."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from plugin_api.shoppers.experiments.log import Trial
from plugin_api.shoppers.experiments.tag import INTERLEAVED
from reranker.experiments.sequential import compare_means, compare_preference, compare_rates

SLOW_SHARE = 0.5
"""Share of sidecar.deadline_ms from which on a search is slow."""

GUARDRAIL_P = 0.01
"""p, valid at any look, below which a variant that does worse than the first is stopped."""


@dataclass(slots=True)
class VariantCounts:
    """Searches that showed a variant: those an action followed, those without hits, those that were slow."""

    searches: int = 0
    acted: int = 0
    empty: int = 0
    slow: int = 0
    took_ms: float = 0.0
    revenue: float = 0.0
    squared_revenue: float = 0.0


@dataclass(slots=True)
class ExperimentCounts:
    """Counts by variant and context; `wins`, `losses` and `ties` are the first ranking's, interleaved.

    A search of `slow_ms` or more is slow.
    """

    slow_ms: float
    variants: dict[tuple[str, int], VariantCounts] = field(default_factory=dict)
    wins: int = 0
    losses: int = 0
    ties: int = 0

    def add(self, trial: Trial) -> None:
        """Count a search and what followed it."""
        tag = trial.tag
        if tag.variant == INTERLEAVED:
            if trial.actions:
                self.wins += trial.credit > 0
                self.losses += trial.credit < 0
                self.ties += trial.credit == 0
            return
        counts = self.variants.setdefault((tag.variant, tag.context), VariantCounts())
        counts.searches += 1
        counts.acted += trial.actions > 0
        counts.empty += tag.empty
        counts.slow += tag.took_ms >= self.slow_ms
        counts.took_ms += tag.took_ms
        counts.revenue += trial.revenue
        counts.squared_revenue += trial.revenue**2

    def add_revenue(self, trial: Trial) -> None:
        """Count what was bought later after a search that was counted before."""
        counts = self.variants.get((trial.tag.variant, trial.tag.context))
        if counts is not None:
            counts.revenue += trial.revenue
            counts.squared_revenue += trial.revenue**2

    def total(self, variant: str) -> VariantCounts:
        """Return a variant's counts over all contexts."""
        total = VariantCounts()
        for (name, _), counts in self.variants.items():
            if name == variant:
                for one in VariantCounts.__slots__:
                    setattr(total, one, getattr(total, one) + getattr(counts, one))
        return total

    def check_guardrails(self) -> Mapping[str, str]:
        """Return the variants that do worse than the first beyond chance, and in what.

        Each context is tested by itself, since a bandit shows a variant more often in some than in others;
        p is corrected for their number.
        """
        stopped: dict[str, str] = {}
        if self.wins > self.losses and compare_preference(self.wins, self.losses).p < GUARDRAIL_P:
            stopped["second"] = "shoppers prefer the first ranking"
        contexts = {context for _, context in self.variants}
        for (variant, context), counts in self.variants.items():
            first = self.variants.get(("first", context))
            if variant != "first" and first is not None:
                reason = _compare(first, counts, GUARDRAIL_P / len(contexts))
                if reason:
                    stopped.setdefault(variant, reason)
        return stopped


def _compare(first: VariantCounts, other: VariantCounts, p: float) -> str:
    """Return in what a variant does worse than the first; empty where that may be chance."""
    for name, said in (("empty", "more searches find nothing"), ("slow", "more searches are slow")):
        test = compare_rates((getattr(other, name), other.searches), (getattr(first, name), first.searches))
        if test.share > 0 and test.p < p:
            return said
    revenue = compare_means(
        (other.revenue, other.squared_revenue, other.searches),
        (first.revenue, first.squared_revenue, first.searches),
    )
    return "searches bring less revenue" if revenue.share < 0 and revenue.p < p else ""

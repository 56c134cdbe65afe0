"""How long searches and their caches may take, other than by the settings of a sidecar."""

from dataclasses import dataclass, replace

from mappings.settings import Settings
from plugin_api.search.memory.circuit_breaker import OPEN_SECONDS
from plugin_api.search.memory.ranking_cache import SETTLE_SECONDS


@dataclass(frozen=True, slots=True)
class SearchTiming:
    """How long an index must not have changed before its rankings are cached, and how long it rests.

    It rests, which means that its searches are not reranked, after that failed several times in a row.
    """

    settle_seconds: float = SETTLE_SECONDS
    open_seconds: float = OPEN_SECONDS


def without_time_limits(settings: Settings) -> Settings:
    """Return settings for a command that searches by itself: OpenSearch's time limit, no cached rankings."""
    milliseconds = int(settings.opensearch.timeout_seconds * 1000)
    return replace(
        settings,
        sidecar=replace(settings.sidecar, deadline_ms=milliseconds),
        search=replace(settings.search, cache_seconds=0.0),
    )

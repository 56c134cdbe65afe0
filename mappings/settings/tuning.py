"""What `attune tune` has chosen for the searches of one index: it stands in the metadata of its mapping."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any

from msgspec import Meta

from mappings.settings.sections import SearchSettings
from mappings.settings.value_types import QueryKinds, ShareOfOne

TUNING = "tuning"
"""Key of a tuning in Attune's metadata of an index."""


@dataclass(frozen=True, slots=True)
class TunedSettings:
    """Settings of the section `search` for one index; None where none was chosen."""

    window: Annotated[int, Meta(ge=1, le=1000)] | None = None
    floor: ShareOfOne | None = None
    vector_weight: ShareOfOne | None = None
    vector_weight_head: ShareOfOne | None = None
    vector_weight_model: ShareOfOne | None = None
    vector_weight_sentence: ShareOfOne | None = None
    keyword_weight: Annotated[float, Meta(ge=0, le=100)] | None = None
    keep_order: QueryKinds | None = None

    @property
    def values(self) -> dict[str, Any]:
        """The settings that were chosen, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def over(self, settings: SearchSettings, origins: Mapping[str, str]) -> SearchSettings:
        """Return the settings with those chosen in place of defaults.

        `origins` are those of the settings: what a file or the environment sets stays as it is there.
        """
        free = {name: value for name, value in self.values.items() if is_free(name, origins)}
        return replace(settings, **free) if free else settings


UNTUNED = TunedSettings()


def is_free(name: str, origins: Mapping[str, str]) -> bool:
    """Return whether a setting of the section `search` has its default, so that a tuning may choose it."""
    return f"search.{name}" not in origins

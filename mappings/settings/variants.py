"""Other settings of the search, written in one line: the variants of an experiment."""

from dataclasses import replace
from difflib import get_close_matches
from typing import Any

import msgspec

from mappings.errors import SettingsError
from mappings.settings.listing import list_settings
from mappings.settings.sections import ExperimentSettings, SearchSettings

VARIANTS = ("first", "second", "third", "fourth", "fifth")
"""Names of an experiment's variants: the first, and at most four others."""

VARIABLE = (
    "fusion",
    "vector_weight",
    "vector_weight_head",
    "vector_weight_model",
    "vector_weight_sentence",
    "rrf_k",
    "keyword_weight",
    "relevance_weight",
    "click_weight",
    "purchase_weight",
    "popularity",
    "user_strength",
    "explore",
)
"""Settings that a variant may change: those that order the same candidates in another way."""


def apply_variant(text: str, settings: SearchSettings) -> SearchSettings:
    """Return the settings with those that a text gives. Raises SettingsError as `read_variant` does."""
    varied = replace(settings, **read_variant(text))
    if not any(varied.head_weights):
        raise SettingsError("one of relevance_weight, click_weight and purchase_weight must be above 0")
    return varied


def list_variants(experiment: ExperimentSettings) -> dict[str, str]:
    """Return what is written of each variant of an experiment, by its name; nothing where it is off.

    Raises SettingsError for too many variants.
    """
    if not experiment.name:
        return {}
    others = experiment.second.split(";") if experiment.method == "bandit" else [experiment.second]
    if len(others) >= len(VARIANTS):
        raise SettingsError(f"{len(others)} variants beside the first: at most {len(VARIANTS) - 1} are tried")
    return dict(zip(VARIANTS, (experiment.first, *others), strict=False))


def read_variant(text: str) -> dict[str, Any]:
    """Return the settings that a text gives, such as `keyword_weight=3, rrf_k=60`.

    Raises SettingsError for what is not of that form, unknown or not allowed.
    """
    known = {setting.name.removeprefix("search."): setting for setting in list_settings()}
    changes: dict[str, Any] = {}
    for pair in (part.strip() for part in text.split(",")):
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not pair:
            continue
        if not equals:
            raise SettingsError(f"{pair!r} is not of the form KEY=VALUE")
        if name not in VARIABLE:
            near = get_close_matches(name, VARIABLE, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(VARIABLE)}"
            raise SettingsError(f"an experiment can't vary search.{name}: {hint}")
        try:
            changes[name] = msgspec.convert(value, known[name].kind, strict=False)
        except msgspec.ValidationError as error:
            raise SettingsError(f"search.{name} must be {known[name].allowed}, not {value!r}") from error
    return changes

"""The exports of shop systems that are known by their columns, and how their records become products."""

from indexer.catalogue.presets.amazon import TEMPLATE_STARTS
from indexer.catalogue.presets.preset import Preset, plain_name
from indexer.catalogue.presets.registry import PRESETS, find_preset, prepare_records, recognise_preset

__all__ = [
    "PRESETS",
    "TEMPLATE_STARTS",
    "Preset",
    "find_preset",
    "plain_name",
    "prepare_records",
    "recognise_preset",
]

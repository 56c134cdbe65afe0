"""The field map of a catalogue that nobody wrote one for: that of a preset, or a guess by its columns."""

from indexer.catalogue.guessing.guess import guess_field_map, judge_prices

__all__ = ["guess_field_map", "judge_prices"]

"""Probes: queries made from a catalogue, what answers them, and settings chosen by them beyond chance."""

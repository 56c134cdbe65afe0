"""The check-up of a catalogue: made queries probe its searches, and decide their settings."""

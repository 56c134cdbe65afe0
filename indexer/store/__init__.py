"""The index behind a catalogue: documents, bulk writes, the alias, locks, tombstones and retries."""

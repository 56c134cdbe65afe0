"""`attune experiment`."""

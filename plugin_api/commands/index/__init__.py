"""`attune index`: its options, sources, models, progress, metrics and summaries."""

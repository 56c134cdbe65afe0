"""Pictures as vectors: read them, encode them, and place them among texts."""

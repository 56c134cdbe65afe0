"""Incremental changes: upserts, partial updates and deletes applied to the index that searches use."""

"""Reads the query DSL: the text of a search, its conditions and what it wants to be shown."""

"""Parse a query: which of its parts demand something that products' facts can be checked for."""

from reranker.understanding.query.parser import is_understood, understand

__all__ = ["is_understood", "understand"]

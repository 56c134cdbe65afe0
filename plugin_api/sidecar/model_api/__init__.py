"""The model for other programs: rerank and embedding routes in the shapes that their clients know."""

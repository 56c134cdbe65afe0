"""One search from end to end: reading it, gathering candidates, reranking and rendering the answer."""

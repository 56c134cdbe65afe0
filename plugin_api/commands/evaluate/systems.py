"""What `attune evaluate` can rank an index by."""

SYSTEMS = {
    "attune": "Attune",
    "bm25": "BM25, all text fields",
    "bm25-plain": "BM25, title + description",
    "vectors": "Product vectors alone",
    "minmax": "Fusion alone, min-max",
    "rrf": "Fusion alone, RRF",
    "article": "Article recipe",
}
"""Name → label. All but `article` need nothing beyond the index and its model."""

SHOP = "bm25"
"""Name of the shop's own search: its keyword query, without Attune."""

SECOND = "second"
"""Name of the second model's full search."""

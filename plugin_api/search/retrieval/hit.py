"""One hit, from the first stage to the page."""

from msgspec import Struct

HitKey = tuple[str, str]
"""Index and id: they identify a hit also where an alias spans several indexes."""


class Hit(Struct, frozen=True):
    """A product that the first stage found.

    `keyword_score` is the `_score` of a hit of the caller's own query, `vector_score` that of a hit which
    only the k-NN search has among its best (0 to 1). `vectors` is what `attune.tokens` holds, empty where the
    product has no vectors or they were not requested; `model` is the version that encoded them. `is_added` is
    true where the caller's own query does not match the product. `score` is the one that the answer shows.
    """

    index: str
    id: str
    keyword_score: float = 0.0
    vector_score: float = 0.0
    vectors: bytes = b""
    model: str = ""
    is_added: bool = False
    score: float = 0.0

    @property
    def key(self) -> HitKey:
        """Index and id."""
        return self.index, self.id

    def with_score(self, score: float) -> "Hit":
        """Return the hit with the score that the answer shows, and without its vectors."""
        parts = (self.index, self.id, self.keyword_score, self.vector_score)
        return Hit(*parts, b"", self.model, self.is_added, score)

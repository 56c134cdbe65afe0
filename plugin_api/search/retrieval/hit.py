"""One hit, from the first stage to the page."""

from msgspec import Struct
from msgspec.structs import replace

from plugin_api.search.hit_key import HitKey


class Hit(Struct, frozen=True, gc=False):
    """A product that the first stage found.

    `keyword_score` is the `_score` of a hit of the caller's own query, `vector_score` that of a neighbour (0
    to 1). `vectors` is what `attune.tokens` holds, empty where the product has no vectors or they were not
    requested; `model` is the version that encoded them. A neighbour that `meets` the conditions of the
    caller's query may be one of its hits. `numbers` counts the model numbers of the text that the product
    holds, `group` is the value by which hits are collapsed, as JSON. `score` is the one that the answer
    shows. `facts` is what `attune.facts` holds; `price` is there where the text demands one, or the search
    is personal. `prior` is what the product's popularity adds to the log-odds, 0 where it was not counted.
    """

    index: str
    id: str
    keyword_score: float = 0.0
    vector_score: float = 0.0
    vectors: bytes = b""
    model: str = ""
    meets: bool = True
    numbers: int = 0
    group: bytes = b""
    score: float = 0.0
    facts: bytes = b""
    price: float | None = None
    prior: float = 0.0

    @property
    def key(self) -> HitKey:
        """Index and id."""
        return self.index, self.id

    def with_score(self, score: float) -> "Hit":
        """Return the hit with the score that the answer shows, and without what it was scored by."""
        return replace(self, score=score, vectors=b"", facts=b"", price=None)

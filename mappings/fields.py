"""Field names of the documents that Attune writes. The one place that spells them."""

TITLE = "title"
BRAND = "brand"
CATEGORY = "category"
DESCRIPTION = "description"
ATTRIBUTES = "attributes"
FACETS = "facets"
PRICE = "price"
AVAILABLE = "available"
IMAGE = "image"
URL = "url"
CURRENCY = "currency"
IDENTIFIERS = "identifiers"
GROUP = "group"

ATTUNE = "attune"
KEY = "attune.key"
VECTOR = "attune.vector"
TOKENS = "attune.tokens"
FACTS = "attune.facts"
MODEL = "attune.model"
HASH = "attune.hash"
VERSION = "attune.version"
CHANGED = "attune.changed"
CONCEPTS = "attune.concepts"
PICTURE = "attune.picture"
PICTURED = "attune.pictured"
"""Only indexes that were made with pictures have these two: the vector, and what it was made of."""

POPULARITY_PRIOR = "attune.behaviour.prior"
"""What a product's popularity adds to its log-odds in a search; `attune count` writes it."""

DEMANDED_TITLE = "attune.title"
DEMANDED_PRICE = "attune.price"
"""Aliases of the fields with title and price, wherever an index has them: what a query demands is compared
with them. An index whose fields can't have an alias lacks them.
"""

HIDDEN = (ATTUNE, f"{ATTUNE}.*")
"""Left out of every `_source`. With the pattern OpenSearch does not rebuild the vectors: half the time."""

TEXT_FIELDS = (f"{TITLE}^3", f"{BRAND}^2", f"{CATEGORY}^2", DESCRIPTION, f"{FACETS}.text")
"""Fields and boosts of a plain keyword search over an Attune index."""

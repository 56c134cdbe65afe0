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

ATTUNE = "attune"
ID = "attune.id"
VECTOR = "attune.vector"
TOKENS = "attune.tokens"
MODEL = "attune.model"
HASH = "attune.hash"
VERSION = "attune.version"
CHANGED = "attune.changed"

TEXT_FIELDS = (f"{TITLE}^3", f"{BRAND}^2", f"{CATEGORY}^2", DESCRIPTION, f"{FACETS}.text")
"""Fields and boosts of a plain keyword search over an Attune index."""

"""What identifies a product and what was encoded of it, in one value that costs little to read with a hit."""

from hashlib import blake2b
from typing import NamedTuple

_DIGEST_BYTES = 8
_MAX_CHARACTERS = 100
"""Of a model's version: whoever writes documents could fill memory with longer ones."""


class ProductKey(NamedTuple):
    """The content of `attune.key`: the product's `id`, the `model` version that encoded it, and a digest.

    The `digest` is that of the bytes of `attune.tokens` and `attune.facts`. A binary value is several times
    cheaper to read for OpenSearch than a keyword of which each product has another.

    >>> ProductKey.unpack(ProductKey("4711", "d1f84f576108", "00ff").pack()).id
    '4711'
    """

    id: str
    model: str
    digest: str

    def pack(self) -> bytes:
        """Return the bytes that are stored."""
        return "\n".join((self.model, self.digest, self.id)).encode()

    @staticmethod
    def unpack(stored: bytes) -> "ProductKey | None":
        """Return the key that is stored; None where the bytes are none."""
        try:
            model, digest, product_id = stored.decode().split("\n", 2)
        except ValueError:
            return None
        if len(model) > _MAX_CHARACTERS or len(digest) != 2 * _DIGEST_BYTES:
            return None
        return ProductKey(product_id, model, digest)


def digest_encoded(tokens: bytes, facts: bytes) -> str:
    """Return the digest of what `attune.tokens` and `attune.facts` hold: 16 hex digits."""
    digest = blake2b(len(tokens).to_bytes(4, "little"), digest_size=_DIGEST_BYTES)
    digest.update(tokens)
    digest.update(facts)
    return digest.hexdigest()

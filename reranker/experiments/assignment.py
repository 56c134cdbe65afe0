"""Who sees which variant: the same one every time, without a store."""

import hashlib
from collections.abc import Mapping

from mappings.errors import EvaluationError


def assign_variant(experiment: str, unit: str, shares: Mapping[str, float]) -> str:
    """Return the variant of a unit (a user or client id), drawn by a hash in proportion to `shares`.

    Experiments draw independently of each other. Raises EvaluationError where no share is above 0.
    """
    total = sum(shares.values())
    if not shares or min(shares.values()) < 0 or total <= 0:
        raise EvaluationError(f"experiment {experiment!r} needs shares that are 0 or more, and one above 0")
    digest = hashlib.sha256(f"{experiment}\0{unit}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64 * total
    chosen = ""
    for variant, share in shares.items():
        chosen = variant if share > 0 else chosen
        place -= share
        if place < 0:
            return variant
    return chosen  # rounding left a rest

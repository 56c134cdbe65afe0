"""Shoppers' ids as they are stored: keyed hashes, which only the key's owner can make again."""

import base64
import hashlib
import hmac
from collections.abc import Mapping

from mappings.errors import BadRequest

_BYTES = 16

OPT_OUT_HEADERS = {"x-attune-personal": "off", "sec-gpc": "1", "dnt": "1"}
"""Headers by which a shopper asks that nothing is read or written of them (Global Privacy Control too)."""


def hash_shopper(key: str, shopper: str) -> str:
    """Return the pseudonym of a user id or client id: 22 characters. Raises BadRequest without a key."""
    if not key:
        raise BadRequest("shoppers are not known here: set shoppers.key (ATTUNE_SHOPPERS_KEY) to a secret")
    digest = hmac.new(key.encode(), shopper.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest[:_BYTES]).rstrip(b"=").decode()


def has_opted_out(headers: Mapping[str, str]) -> bool:
    """Return whether a request's headers (names in any case) ask for no personal data."""
    given = {name.lower(): value.strip().lower() for name, value in headers.items()}
    return any(given.get(name) == value for name, value in OPT_OUT_HEADERS.items())

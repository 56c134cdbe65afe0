"""Files in base64, as searches have them."""

import base64

from mappings.errors import BadRequest


def decode_base64(text: str, name: str) -> bytes:
    """Return the bytes of base64 or of a `data:` address. Raises BadRequest, which calls it by its name."""
    try:
        return base64.b64decode(text.rpartition(";base64,")[2], validate=True)
    except ValueError as error:
        raise BadRequest(f"{name} is not base64: {error}") from error

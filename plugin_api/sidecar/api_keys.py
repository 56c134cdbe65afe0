"""API keys for Attune's own routes. Searches, and what is passed through, are OpenSearch's to allow."""

import hashlib
import hmac
from collections.abc import Sequence

from flask import Flask, Response, after_this_request, request
from werkzeug.exceptions import Unauthorized

KEY_HEADER = "X-Api-Key"

OPEN = ("/_attune/health", "/_attune/ready")
"""Routes that orchestrators ask, who have no keys."""


def require_key(app: Flask, keys: str, passed: str, public: Sequence[str] = ()) -> None:
    """Have every route of `app` ask for one of the keys, which commas separate; no keys, no questions.

    The key comes as `Authorization: Bearer KEY` or `X-Api-Key: KEY`, and goes no further. `passed` is the
    endpoint of what goes to OpenSearch; `public` are more rules that ask for no key.
    """
    digests = [_digest(key.strip()) for key in keys.split(",") if key.strip()]
    if not digests:
        return

    @app.before_request
    def _check() -> None:
        # By the route that was found, not by the path, which can be written in many ways.
        rule = request.url_rule.rule if request.url_rule else ""
        if request.endpoint in (None, passed) or rule in OPEN or rule in public:
            return
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and _known(token.strip(), digests):
            # Not OpenSearch's credentials: a route that asks OpenSearch must not pass them on.
            request.environ.pop("HTTP_AUTHORIZATION")
        elif not _known(request.headers.get(KEY_HEADER, ""), digests):
            after_this_request(_with_challenge)
            raise Unauthorized(
                f"{request.path} needs an API key (sidecar.api_keys): "
                f"send Authorization: Bearer KEY, or {KEY_HEADER}: KEY"
            )
        request.environ.pop("HTTP_X_API_KEY", None)


def _with_challenge(response: Response) -> Response:
    response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _known(key: str, digests: Sequence[bytes]) -> bool:
    """Whether it is one of the keys, in a time that tells nothing of them."""
    given = _digest(key)
    return sum(hmac.compare_digest(given, digest) for digest in digests) > 0


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()

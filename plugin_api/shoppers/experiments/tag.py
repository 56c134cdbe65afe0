"""Which ranking put each hit of a page where it is, written into the page's `query_id`.

Events repeat the `query_id`, so nothing has to be stored when a search is answered. It is signed: what a
client makes up gives no credit.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Variant = Literal["interleaved", "first", "second", "third", "fourth", "fifth"]

INTERLEAVED: Variant = "interleaved"
_LETTERS: dict[str, Variant] = {
    "i": "interleaved", "a": "first", "b": "second", "c": "third", "d": "fourth", "e": "fifth",
}  # fmt: skip
_PREFIX = "x"
_MAX_HITS = 400
"""Hits whose ranking fits into a `query_id` of 256 characters."""

_PER_PROPENSITY = 10_000
_SIGNATURE_BYTES = 6


@dataclass(frozen=True, slots=True)
class ExperimentTag:
    """What a page shows, from place `start` on: `teams` says which hits the first ranking put there.

    It is empty unless the page is interleaved. A `variant` was drawn with the probability `propensity` in a
    `context`. The answer was given `at` seconds since 1970, after `took_ms`, and is `empty` where there are
    no hits.
    """

    name: str
    variant: Variant
    start: int = 0
    teams: tuple[bool, ...] = ()
    propensity: float = 1.0
    context: int = 0
    at: int = 0
    took_ms: int = 0
    empty: bool = False

    def find_team(self, place: int) -> bool | None:
        """Return whether the first ranking put a hit at its place, from 1 on; None where nobody knows."""
        at = place - 1 - self.start
        return self.teams[at] if 0 <= at < len(self.teams) else None


def make_tag_prefix(name: str) -> str:
    """Return how every `query_id` of an experiment begins."""
    return f"{_PREFIX}.{name}."


def write_tag(tag: ExperimentTag, key: str, nonce: str = "") -> str:
    """Return a `query_id` for one answer; `nonce` tells it from others, and is drawn where it is empty."""
    letter = next(letter for letter, variant in _LETTERS.items() if variant == tag.variant)
    numbers = (round(tag.propensity * _PER_PROPENSITY), tag.context, tag.at, tag.took_ms, int(tag.empty))
    parts = (
        f"{make_tag_prefix(tag.name)}{letter}",
        str(tag.start),
        _pack(tag.teams[:_MAX_HITS]),
        "-".join(f"{number:x}" for number in numbers),
        nonce or secrets.token_urlsafe(6),
    )
    said = ".".join(parts)
    return f"{said}.{_sign(said, key)}"


def read_tag(query_id: str, key: str) -> ExperimentTag | None:
    """Return what a `query_id` says; None where it is another's, or was changed."""
    said, _, signature = query_id.rpartition(".")
    if not hmac.compare_digest(signature.encode(), _sign(said, key).encode()):
        return None
    parts = said.split(".")
    if len(parts) != 7 or parts[0] != _PREFIX:
        return None
    propensity, context, at, took_ms, empty = (int(digits, 16) for digits in parts[5].split("-"))
    return ExperimentTag(
        parts[1],
        _LETTERS[parts[2]],
        int(parts[3]),
        _unpack(parts[4]),
        propensity / _PER_PROPENSITY,
        context,
        at,
        took_ms,
        bool(empty),
    )


def _pack(teams: Sequence[bool]) -> str:
    """Return a bit a hit as hexadecimal digits; a bit before them keeps leading zeros."""
    return f"{int('1' + ''.join(str(int(team)) for team in teams), 2):x}"


def _unpack(digits: str) -> tuple[bool, ...]:
    return tuple(bit == "1" for bit in f"{int(digits, 16):b}"[1:])


def _sign(text: str, key: str) -> str:
    digest = hmac.new(key.encode(), text.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest[:_SIGNATURE_BYTES]).decode()

"""Names of a catalogue that sound like what was heard: `told her car at ridge` is near `toner cartridge`."""

import re
from collections.abc import Sequence
from functools import lru_cache

from reranker.understanding.spelling.edits import measure_edits
from reranker.understanding.spoken_hints import SpokenNames

_SOUNDS = (
    ("ph", "f"), ("ck", "k"), ("tch", "ch"), ("qu", "kw"), ("x", "ks"), ("ce", "se"), ("ci", "si"),
    ("c", "k"), ("wh", "w"), ("kn", "n"), ("z", "s"), ("y", "i"), ("gh", "g"), ("dge", "j"), ("sh", "s"),
    ("th", "t"),
)  # fmt: skip
"""English spellings and a letter that stands for their sound, replaced in this order."""
_FAR = 9.0
_MOST_WORDS = 7
"""Words of the longest text that is compared: more is a sentence and no product's name."""
_NEAR_TYPES, _NEAR_BRANDS = 4, 2
"""Types and brands that are tried for a part of what was heard."""
_HEARD_BRAND = 0.1
"""What keeping the heard words before a type adds to the distance, where a brand could stand."""


def list_nearby_phrases(heard: Sequence[str], names: SpokenNames, count: int) -> list[str]:
    """Return the types, and types after a brand or after heard words, that sound most like what was heard.

    `heard` are several texts of one recording, in small letters without punctuation. The nearest come first.
    """
    distances: dict[str, float] = {}

    def _add(phrase: str, distance: float) -> None:
        distances[phrase] = min(distances.get(phrase, _FAR), distance)

    for text in heard:
        words = text.split()
        if not 0 < len(words) <= _MOST_WORDS:
            continue
        for name in names.types:
            _add(name, _measure_sounds(text, name))
        for place in range(1, len(words)):
            first, last = " ".join(words[:place]), " ".join(words[place:])
            share = len(last) / (len(first) + len(last))
            brands = _find_nearest(first, names.brands, _NEAR_BRANDS)
            for distance, name in _find_nearest(last, names.types, _NEAR_TYPES):
                _add(f"{first} {name}", distance * share + _HEARD_BRAND)
                for brand_distance, brand in brands:
                    _add(f"{brand} {name}", distance * share + brand_distance * (1 - share))
    return sorted(distances, key=lambda phrase: distances[phrase])[:count]


def _find_nearest(text: str, names: Sequence[str], count: int) -> list[tuple[float, str]]:
    return sorted((_measure_sounds(text, name), name) for name in names)[:count]


@lru_cache(maxsize=20_000)
def _measure_sounds(heard: str, name: str) -> float:
    """Return how different two texts sound: 0 where alike, about 1 where every letter differs."""
    first, second = _write_sounds(heard), _write_sounds(name)
    if abs(len(first) - len(second)) > max(3, len(second) // 2):
        return _FAR
    return measure_edits(first, second) / max(len(first), len(second), 3)


@lru_cache(maxsize=5_000)
def _write_sounds(text: str) -> str:
    text = text.replace(" ", "")
    for spelling, sound in _SOUNDS:
        text = text.replace(spelling, sound)
    return re.sub(r"(.)\1", r"\1", text)

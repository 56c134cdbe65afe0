"""The words of a catalogue that a spoken query may well hold: its brands and types of products."""

from dataclasses import dataclass

from reranker.understanding.vocabulary import CatalogueVocabulary

_BRANDS, _TYPES = 40, 60
"""How many of each are named: Whisper reads about 220 tokens of hints."""

_MOST_BRANDS, _MOST_TYPES = 100, 400
"""How many of each what was heard is compared with."""

_LEAST_LETTERS = 3
_MOST_LETTERS = 700


@dataclass(frozen=True, slots=True)
class SpokenNames:
    """Names that a spoken query may hold: types of products and brands, the commonest first."""

    types: tuple[str, ...] = ()
    brands: tuple[str, ...] = ()


def list_spoken_names(vocabulary: CatalogueVocabulary) -> SpokenNames:
    """Return the most frequent types and brands of a catalogue, to correct what was heard by."""
    types = _list_types(vocabulary, _MOST_TYPES)
    brands = _list_brands(vocabulary, _MOST_BRANDS)
    return SpokenNames(*(tuple(n for n in names if len(n) >= _LEAST_LETTERS) for names in (types, brands)))


def list_spoken_hints(vocabulary: CatalogueVocabulary) -> str:
    """Return the most frequent brands and types of a catalogue, with commas between; empty without any."""
    hints = ""
    for name in dict.fromkeys([*_list_brands(vocabulary, _BRANDS), *_list_types(vocabulary, _TYPES)]):
        if len(name) < _LEAST_LETTERS or not name.replace(" ", "").isalpha():
            continue
        longer = f"{hints}, {name}" if hints else name
        if len(longer) > _MOST_LETTERS:
            break
        hints = longer
    return hints


def _list_brands(vocabulary: CatalogueVocabulary, count: int) -> list[str]:
    return sorted(vocabulary.brands, key=lambda name: -vocabulary.brands[name])[:count]


def _list_types(vocabulary: CatalogueVocabulary, count: int) -> list[str]:
    phrases = sorted(vocabulary.types.values(), key=lambda phrase: -phrase.count)[:count]
    names = (" ".join(vocabulary.surface.get(stem, stem) for stem in phrase.stems) for phrase in phrases)
    return list(dict.fromkeys(names))

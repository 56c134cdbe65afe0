"""The words of a catalogue that a spoken query may well hold: its brands and types of products."""

from reranker.understanding.vocabulary import CatalogueVocabulary

_BRANDS, _TYPES = 40, 60
"""How many of each are named: Whisper reads about 220 tokens of hints."""

_LEAST_LETTERS = 3
_MOST_LETTERS = 700


def list_spoken_hints(vocabulary: CatalogueVocabulary) -> str:
    """Return the most frequent brands and types of a catalogue, with commas between; empty without any."""
    brands = sorted(vocabulary.brands, key=lambda name: -vocabulary.brands[name])[:_BRANDS]
    phrases = sorted(vocabulary.types.values(), key=lambda phrase: -phrase.count)[:_TYPES]
    types = (" ".join(vocabulary.surface.get(stem, stem) for stem in phrase.stems) for phrase in phrases)
    hints = ""
    for name in dict.fromkeys([*brands, *types]):
        if len(name) < _LEAST_LETTERS or not name.replace(" ", "").isalpha():
            continue
        longer = f"{hints}, {name}" if hints else name
        if len(longer) > _MOST_LETTERS:
            break
        hints = longer
    return hints

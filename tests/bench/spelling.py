"""Spelling: how many typing errors in words of a catalogue's titles are mended, and what is changed wrongly.

Errors are made by chance, one or two in a word of five letters or more: a letter left out, doubled, exchanged
with its neighbour, or another vowel. Words that nobody should change are those of the English dictionary and
of another shop's queries that the catalogue lacks. Needs no OpenSearch. Prints JSON.

    python -m tests.bench.spelling
    python -m tests.bench.spelling --queries FILE     # one query a line: prints what is changed
"""

import json
import random
import time
from collections.abc import Sequence
from pathlib import Path

import click

from plugin_api.commands.demo.catalogue import PRODUCTS
from reranker.understanding.spelling.corrector import SpellingCorrector
from reranker.understanding.spelling.spellings import Spellings, SpellingsLearner
from reranker.understanding.words import normalise_text
from tests.bench.inputs.catalogue import products

_SEED = 11
_WORDS = 500
_LEAST = 5
"""Titles that must have a word, and letters that it must have, for errors to be made in it."""
_VOWELS = "aeiou"


def learn_spellings() -> Spellings:
    """Return the spellings of the demo's catalogue."""
    learner = SpellingsLearner()
    for product in products(PRODUCTS):
        learner.add(product)
    return learner.learn()


def make_error(word: str, chance: random.Random) -> str:
    """Return a word with one typing error behind its first letter."""
    i = chance.randrange(1, len(word) - 1)
    letter, following = word[i], word[i + 1]
    errors = [word[:i] + word[i + 1 :], word[:i] + letter + word[i:]]
    if letter != following:
        errors.append(word[:i] + following + letter + word[i + 2 :])
    if letter in _VOWELS:
        errors.append(word[:i] + chance.choice(_VOWELS.replace(letter, "")) + word[i + 1 :])
    return chance.choice(errors)


def measure_errors(spellings: Spellings, corrector: SpellingCorrector, errors: int) -> dict[str, object]:
    """Return the share of misspelt words that become what they were, another word, or stay as they are."""
    chance = random.Random(_SEED)
    frequent = [word for word, count in spellings.words.items() if min(count, len(word)) >= _LEAST]
    words = chance.sample(frequent, min(_WORDS, len(frequent)))
    right = wrong = total = 0
    started = time.perf_counter()
    for word in words:
        typed = word
        for _ in range(errors):
            typed = make_error(typed, chance)
        if spellings.knows(typed):
            continue
        total += 1
        corrected = corrector.correct(typed).text
        right += corrected == word
        wrong += corrected not in (word, typed)
    seconds = time.perf_counter() - started
    return {
        "words": total,
        "right": round(right / total, 3),
        "wrong": round(wrong / total, 3),
        "milliseconds": round(1000 * seconds / total, 2),
    }


def list_changes(corrector: SpellingCorrector, queries: Sequence[str]) -> list[str]:
    """Return the queries that are changed, with what they become."""
    changed = ((query, corrector.correct(normalise_text(query))) for query in queries)
    return [f"{query} -> {found.text}" for query, found in changed if found.corrections]


@click.command(help=__doc__)
@click.option("--queries", type=click.Path(path_type=Path), help="A file of queries, one a line.")
def main(queries: Path | None) -> None:
    """Measure and print."""
    spellings = learn_spellings()
    corrector = SpellingCorrector(spellings)
    corrector.load()
    if queries:
        lines = dict.fromkeys(queries.read_text(encoding="utf-8").splitlines())
        print(json.dumps(list_changes(corrector, list(lines)), indent=2, ensure_ascii=False))
        return
    titles = [normalise_text(product.title, 180) for product in products(PRODUCTS)]
    started = time.perf_counter()
    changed = list_changes(corrector, titles)
    seconds = time.perf_counter() - started
    result = {
        "one error": measure_errors(spellings, corrector, 1),
        "two errors": measure_errors(spellings, corrector, 2),
        "titles": {
            "queries": len(titles),
            "changed": len(changed),
            "milliseconds": round(1000 * seconds / len(titles), 3),
        },
        "examples": changed[:20],
    }
    print(json.dumps(result, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()

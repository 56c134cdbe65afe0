"""Spoken product queries: espeak-ng says types and brands of the demo's catalogue, clean and in noise.

    python -m tests.bench.speech [--queries 100] [--noise-db 20]

Needs espeak-ng and the extra `speech`. 100 queries are drawn from the types of products that the vocabulary
of 1,000 products of the demo holds, a third of them with a brand before it, spoken by six voices in turn. All
are such that, typed, they show their type among the first three products. A query is understood where what
was heard does. Everything runs with and without the catalogue's words as hints, and with hints and what was
heard corrected to the catalogue's names. The correction was made on every other query: the rest is held out.
The search is by BM25 and vectors in memory, scored as a search is, its spelling corrected.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import bm25s
import numpy as np

from mappings.settings import SpeechSettings
from mappings.types import Product
from plugin_api.commands.train.weights import read_electronics
from reranker import load_model
from reranker.keyword_evidence import add_keyword_evidence
from reranker.model import Model
from reranker.speech.audio import RATE, read_audio
from reranker.speech.transcriber import Transcriber, locate_model
from reranker.types import Floats
from reranker.understanding.interpreter import QueryInterpreter
from reranker.understanding.learning import VocabularyLearner
from reranker.understanding.spoken_hints import SpokenNames, list_spoken_hints, list_spoken_names
from reranker.understanding.words import stem_words

VOICES = ("en-us", "en-gb", "en-us+f3", "en-gb+f2", "en-us+m4", "en-gb-x-rp")
SPEED = "130"
"""Words a minute: as one speaks to a machine."""

PRODUCTS = 1000
WINDOW = 100
AT = 3
TYPES = 150
"""Of the catalogue's types, the commonest that queries are drawn from."""


@dataclass(frozen=True)
class SpokenQuery:
    """A query, and the stems that a product of its type has in its title or category."""

    text: str
    stems: frozenset[str]


class Shop:
    """The search of a shop in memory: BM25 and vectors gather, the model scores."""

    def __init__(self, products: Sequence[Product], model: Model, interpreter: QueryInterpreter) -> None:
        self.products, self.model, self.interpreter = products, model, interpreter
        self.stems = [set(stem_words(f"{p.title} {p.category}")) for p in products]
        encoded = model.encode_products(products)
        self.vectors = np.stack([each.vector for each in encoded])
        self.stored = [each.stored for each in encoded]
        self.bm25 = bm25s.BM25()
        self.bm25.index([list(stem_words(f"{p.title} {p.category}")) for p in products], show_progress=False)

    def find(self, text: str) -> list[int]:
        """Return the places of the first three products."""
        understanding = self.interpreter.understand(text)
        query = self.model.encode_query(understanding.core or text)
        words = [stem for stem in stem_words(understanding.core or text) if stem in self.bm25.vocab_dict]
        keyword = self.bm25.get_scores(words) if words else np.zeros(len(self.products), np.float32)
        near = self.vectors @ query.vector
        window = list({*np.argsort(-keyword)[:WINDOW].tolist(), *np.argsort(-near)[:WINDOW].tolist()})
        likely = self.model.score_raw(query, [self.stored[i] for i in window]).tolist()
        scores = add_keyword_evidence(likely, [float(keyword[i]) for i in window], 3.0)
        return [window[i] for i in np.argsort(-np.array(scores))[:AT]]

    def shows(self, text: str, query: SpokenQuery) -> bool:
        """Whether a product of the query's type is among the first three for a text."""
        return bool(text) and any(query.stems <= self.stems[place] for place in self.find(text))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--noise-db", type=float, default=20.0)
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.queries, arguments.noise_db)))


def measure(count: int, noise_db: float) -> dict[str, Any]:
    rng = random.Random(11)
    products = rng.sample(read_electronics(), PRODUCTS)
    learner = VocabularyLearner()
    for product in products:
        learner.add(product)
    vocabulary = learner.learn()
    model = load_model(threads=1)
    interpreter = QueryInterpreter(vocabulary, lambda text: model.encode_query(text).vector).load()
    shop = Shop(products, model, interpreter)
    queries = draw_queries(shop, count, rng)
    hints = list_spoken_hints(vocabulary)
    settings = SpeechSettings(search=True)
    transcriber = Transcriber(locate_model(settings), settings)
    recordings = [speak(query.text, VOICES[n % len(VOICES)], settings) for n, query in enumerate(queries)]
    noisy = [add_noise(samples, noise_db, np.random.default_rng(n)) for n, samples in enumerate(recordings)]
    result: dict[str, Any] = {"queries": len(queries), "voices": len(VOICES), "noise_db": noise_db}
    seconds: list[float] = []
    ways = (
        ("with hints, corrected", hints, list_spoken_names(vocabulary)),
        ("with hints", hints, SpokenNames()),
        ("without hints", "", SpokenNames()),
    )
    for name, words, names in ways:
        for condition, samples in (("clean", recordings), ("noise", noisy)):
            heard = []
            for each in samples:
                began = time.perf_counter()
                heard.append(transcriber.transcribe(each, words, names).text)
                seconds.append(time.perf_counter() - began)
            pairs = list(zip(heard, queries, strict=True))
            result[f"{condition}, {name}"] = {
                "right type in the first three": rate([shop.shows(text, query) for text, query in pairs]),
                "held-out half": rate([shop.shows(text, query) for text, query in pairs[1::2]]),
                "same words": rate([stem_words(text) == stem_words(query.text) for text, query in pairs]),
                "examples": [[query.text, text] for text, query in pairs[:8]],
            }
            print(condition, name, result[f"{condition}, {name}"], file=sys.stderr, flush=True)
    result["seconds_one_core_p50"] = round(statistics.median(seconds), 2)
    return result


def draw_queries(shop: Shop, count: int, rng: random.Random) -> list[SpokenQuery]:
    """Return queries that the typed search answers with their type among the first three."""
    vocabulary = shop.interpreter.vocabulary
    phrases = sorted(vocabulary.types.values(), key=lambda phrase: -phrase.count)[:TYPES]
    brands = sorted(vocabulary.brands, key=lambda name: -vocabulary.brands[name])[:20]
    queries: list[SpokenQuery] = []
    names: list[tuple[str, frozenset[str]]] = []
    for phrase in phrases:
        words = " ".join(vocabulary.surface.get(stem, stem) for stem in phrase.stems)
        stems = frozenset(phrase.stems)
        if len(words) > 3 and words.replace(" ", "").isalpha() and any(stems <= of for of in shop.stems):
            names.append((words, stems))
    while len(queries) < count:
        words, stems = names[rng.randrange(len(names))]
        brand = f"{rng.choice(brands)} " if rng.random() < 1 / 3 else ""
        query = SpokenQuery(f"{brand}{words}", stems)
        if shop.shows(query.text, query):
            queries.append(query)
    return queries


def speak(text: str, voice: str, settings: SpeechSettings) -> Floats:
    """Return what espeak-ng says, with a moment of silence before and after it."""
    command = ["espeak-ng", "-v", voice, "-s", SPEED, "--stdout", text]
    spoken = read_audio(subprocess.run(command, capture_output=True, check=True).stdout, settings)
    silence = np.zeros(RATE // 3, np.float32)
    return np.concatenate([silence, spoken, silence])


def add_noise(samples: Floats, decibels: float, rng: np.random.Generator) -> Floats:
    """Return a recording with white noise so many decibels below it."""
    power = float((samples**2).mean()) / 10 ** (decibels / 10)
    return samples + rng.normal(0, power**0.5, len(samples)).astype(np.float32)


def rate(outcomes: Sequence[bool]) -> float:
    return round(sum(outcomes) / len(outcomes), 3)


if __name__ == "__main__":
    main()

"""Understand a query: which of its words demand something that products' facts can be checked for."""

import re
from dataclasses import replace
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from reranker.text.numbers import is_measure
from reranker.understanding.demands import (
    Demand,
    MeasureDemand,
    ModelDemand,
    PresenceDemand,
    PriceDemand,
    Span,
    TypeDemand,
    Understanding,
    ValueDemand,
)
from reranker.understanding.lexicon import Lexicon, alternatives, load_lexicon
from reranker.understanding.measures import Measure, find_measures, parse_number
from reranker.understanding.types import names_type
from reranker.understanding.vocabulary import CatalogueVocabulary
from reranker.understanding.words import Word, compact_words, list_words, normalise_text

_MAX_QUERY = 200
"""Characters of the longest query that is understood: beyond it is prose, which demands nothing precisely."""

_NUMBER = r"([0-9]{1,9}(?:[.,][0-9]{1,3})*)"
_MOST_ATTRIBUTES = 12


def understand(text: str, vocabulary: CatalogueVocabulary) -> Understanding:
    """Return what a query demands, in the light of a catalogue's vocabulary. Takes less than a millisecond."""
    query = normalise_text(text)
    if not query or len(query) > _MAX_QUERY:
        return Understanding(query, query)
    reading = _Reading(query, vocabulary)
    demands = reading.read()
    left_out = [d.span for d in demands if isinstance(d, PriceDemand) or d.kind == "absence"]
    return Understanding(query, _cut(query, left_out), tuple(sorted(demands, key=lambda d: d.span.start)))


def _cut(query: str, spans: Sequence[Span]) -> str:
    """Return the query without these parts; the query itself where nothing else would be left."""
    kept = "".join(c for i, c in enumerate(query) if not any(s.start <= i < s.end for s in spans))
    kept = " ".join(kept.split()).strip(" ,;-")
    return kept if any(map(str.isalnum, kept)) else query


class _Reading:
    """One query while it is read: what is understood already is not understood a second time."""

    def __init__(self, query: str, vocabulary: CatalogueVocabulary) -> None:
        self._query = query
        self._vocabulary = vocabulary
        self._lexicon = load_lexicon()
        self._words = list_words(query)
        self._taken: list[Span] = []
        self._named: set[int] = set()
        self._valued: list[Span] = []
        self._nouns = vocabulary.noun_stems

    def read(self) -> list[Demand]:
        demands: list[Demand] = []
        for step in (self._prices, self._absences, self._models, self._measures, self._features, self._values):
            for demand in step():
                demands.append(demand)
                self._taken.append(demand.span)
                if demand.kind in ("value", "feature"):
                    self._valued.append(demand.span)
        return [*demands, *self._types()]

    def _types(self) -> Iterator[TypeDemand]:
        """Read what the product is: the nouns that nothing else was understood of, without brands."""
        brands = self._vocabulary.brands
        free = [w for w in self._free_words() if w.text not in brands and not w.text.isdecimal()]
        words = [word for word in free if word.start not in self._named]
        if not any(word.stem in self._nouns for word in words):
            words = free
        while words and words[-1].text in self._lexicon.stops:
            words.pop()
        names = [word for word in words if word.stem in self._nouns]
        before_for = [word for word in names if not self._is_after_for(word)]
        stems = tuple(word.stem for word in before_for or names)
        if stems:
            shown = [*self._values_before(words[0]), *words]
            yield TypeDemand(Span(shown[0].start, words[-1].end), " ".join(w.text for w in shown), stems)

    def _values_before(self, word: Word) -> list[Word]:
        """Return the value right before a type, such as `usb` in `usb stick`: part of its name, maybe."""
        ends = {span.end: span for span in self._valued}
        span = ends.get(word.start - 1)
        return [each for each in self._words if span and span.start <= each.start < span.end]

    def _is_after_for(self, word: Word) -> bool:
        match = _fits_pattern().search(self._query)
        return match is not None and match.start() <= word.start

    def _is_free(self, start: int, end: int) -> bool:
        return not any(start < span.end and span.start < end for span in self._taken)

    def _free_words(self) -> list[Word]:
        return [word for word in self._words if self._is_free(word.start, word.end)]

    def _prices(self) -> Iterator[PriceDemand]:
        for pattern, bounds in _price_patterns():
            for match in pattern.finditer(self._query):
                span = Span(*match.span())
                measured = any(m.start < span.end and span.start < m.end for m in find_measures(self._query))
                if not self._is_free(span.start, span.end) or measured:
                    continue
                numbers = [parse_number(text) for text in match.groups() if text and text[0].isdigit()]
                if bounds != "cheap" and not numbers:
                    continue
                low = numbers[0] if bounds in ("over", "between") else 0.0
                high = numbers[-1] if bounds in ("under", "between") else float("inf")
                if low <= high:
                    yield PriceDemand(span, low, high, _find_currency(match.group()), bounds == "cheap")
                    self._taken.append(span)

    def _absences(self) -> Iterator[PresenceDemand]:
        for match in _absence_pattern().finditer(self._query):
            after = [
                replace(word, start=word.start + match.end(), end=word.end + match.end())
                for word in list_words(self._query[match.end() :])
            ]
            things = self._until_operator(after)[:3]
            for count in range(len(things), 0, -1):
                some = things[:count]
                stems = tuple(word.stem for word in some)
                attributes = self._find_attributes(some)
                instead = sorted({s for stem in stems for s in self._lexicon.absent.get(stem, ())})
                if attributes or instead or count == 1:
                    span = Span(match.start(), some[-1].end)
                    yield PresenceDemand(span, "absence", stems, attributes, tuple(instead))
                    break
        for match in _free_pattern().finditer(self._query):
            words = [word for word in self._words if word.start >= match.start() and word.end <= match.end()]
            if words and self._is_free(*match.span()) and match.group().casefold() not in self._vocabulary.words:
                stems = (list_words(match.group(1))[0].stem,)
                attributes = self._find_attributes(list_words(match.group(1)))
                instead = (*sorted(self._lexicon.absent.get(stems[0], ())), words[0].stem)
                yield PresenceDemand(Span(*match.span()), "absence", stems, attributes, instead)

    def _until_operator(self, words: Sequence[Word]) -> list[Word]:
        taken: list[Word] = []
        for word in words:
            if word.text in _operators() or (taken and word.after_break):
                break
            taken.append(word)
        return taken

    def _find_attributes(self, words: Sequence[Word]) -> tuple[str, ...]:
        """Return the attributes whose names say a thing: `fingerprint reader`, `wifi` for `wi fi`."""
        stems = frozenset(word.stem for word in words)
        named = self._vocabulary.flags_by_name.get(compact_words("".join(word.text for word in words)), [])
        rarest = min((self._vocabulary.attributes_by_stem.get(stem, []) for stem in stems), key=len)
        others = sorted((len(own), name) for name, own in rarest if stems <= own)
        return tuple(dict.fromkeys([*named, *(name for _, name in others)]))[:_MOST_ATTRIBUTES]

    def _models(self) -> Iterator[ModelDemand]:
        fits = _fits_pattern().search(self._query)
        measures = find_measures(self._query)
        for match in _MODEL.finditer(self._query):
            start, end = match.start(1 if match.group(1) not in (None, *_operators()) else 2), match.end()
            if not self._is_free(start, end) or any(m.start < end and start < m.end for m in measures):
                continue
            after_for = fits is not None and fits.end() <= start
            names = dict.fromkeys((compact_words(self._query[start:end]), compact_words(match.group(2))))
            mixed = [n for n in names if 2 < len(n) and not n.isdecimal() and sum(map(str.isdigit, n)) >= 2]
            bare = [n for n in names if n.isdecimal() and len(n) > 2]
            known = compact_words(match.group(2)) in self._vocabulary.values or is_measure(match.group(2).casefold())
            if known or not (mixed or (after_for and bare)) or (mixed and not after_for and match.group(1) and bare):
                continue
            yield ModelDemand(Span(start, end), (*mixed, *bare), after_for)

    def _measures(self) -> Iterator[MeasureDemand]:
        for measure in find_measures(self._query):
            if not self._is_free(measure.start, measure.end):
                continue
            bound = _bound_before(self._query[: measure.start])
            start = measure.start - len(bound[1])
            low = 0.0 if bound[0] == "under" else measure.value
            high = float("inf") if bound[0] == "over" else measure.value
            attributes, used, beside = self._find_holders(measure)
            self._named |= {word.start for word in used if word.start - measure.end in (0, 1)}
            dimension, unit = measure.unit.dimension, measure.unit.name
            yield MeasureDemand(
                Span(start, measure.end), low, high, dimension, unit, attributes, bool(used), tuple(beside)
            )

    def _find_holders(
        self, measure: Measure
    ) -> tuple[tuple[tuple[str, float], ...], list[Word], list[str]]:
        """Return the attributes that may hold a measure, the query's words that say so, and their company."""
        words = [word for word in self._free_words() if not any(map(str.isdigit, word.text))]
        after = [word for word in words if word.start >= measure.end][:2]
        before = [word for word in words if word.end <= measure.start][-1:]
        after = after[: next((i for i, word in enumerate(after) if word.text in _operators()), 2)]
        numbers = self._vocabulary.numbers
        scored = []
        for name, unit in self._vocabulary.units.get(measure.unit.dimension, ()):
            if abs(unit.scale - measure.unit.scale) > 1:
                continue
            own = {word.stem for word in list_words(name)}
            in_name = [word for word in (*after, *before) if word.stem in own]
            in_company = [word for word in after if word.stem in numbers[name].beside]
            score = 2 * len(in_name) + len(in_company)
            if score and _BOUNDS & own:
                score = 0.5
            same_scale = unit.scale == measure.unit.scale
            scored.append((score, same_scale, numbers[name].count, name, unit.factor, {*in_name, *in_company}))
        scored.sort(key=lambda row: row[:3], reverse=True)
        named = [row for row in scored if row[0] > 0]
        chosen = (named or [row for row in scored if row[1]] or scored)[:_MOST_ATTRIBUTES]
        used = sorted({word for row in named for word in row[5]}, key=lambda word: word.start)
        beside = [word.stem for word in used]
        return tuple((row[3], row[4]) for row in chosen), used, beside

    def _features(self) -> Iterator[PresenceDemand]:
        """Read what the query wants the product to have: the full name of an attribute that is yes or no."""
        free = self._free_words()
        for length in (3, 2, 1):
            for i in range(len(free) - length + 1):
                some = free[i : i + length]
                compact = compact_words("".join(word.text for word in some))
                stems = "".join(sorted({word.stem for word in some}))
                names = self._vocabulary.flags_by_name.get(compact) or self._vocabulary.flags_by_name.get(stems)
                free_still = all(self._is_free(word.start, word.end) for word in some)
                if names and free_still and some[0].stem not in self._lexicon.values:
                    span = Span(some[0].start, some[-1].end)
                    self._taken.append(span)
                    yield PresenceDemand(span, "feature", tuple(word.stem for word in some), tuple(names))

    def _values(self) -> Iterator[ValueDemand]:
        free = self._free_words()
        known = self._vocabulary.values
        position = 0
        while position < len(free):
            word = free[position]
            position += 1
            if word.stem in self._lexicon.values:
                kind, name = self._lexicon.values[word.stem]
                stems = self._lexicon.synonyms[kind, name]
                names = self._vocabulary.kinds.get(kind, ())
                yield ValueDemand(Span(word.start, word.end), kind, (stems,), names)
                continue
            meanings = [
                m for m in known.get(word.stem, ()) if m.reliability >= 0.8 and not names_type(m.attribute)
            ]
            if not meanings or word.text.isdecimal() or word.text in _operators():
                continue
            shared = {m.attribute for m in meanings}
            together = [word]
            for following in free[position : position + 2]:
                both = {m.attribute for m in known.get(following.stem, ())} & shared
                if following.start > together[-1].end + 1 or not both or following.stem in self._lexicon.values:
                    break
                together.append(following)
                shared = both
                position += 1
            stems_of = tuple(frozenset({each.stem}) for each in together)
            reliability = max(m.reliability for m in meanings)
            span = Span(word.start, together[-1].end)
            yield ValueDemand(span, "value", stems_of, tuple(sorted(shared)), reliability)


_BOUNDS = frozenset({"minimum", "maximum", "min", "max", "maxim", "minim", "mindest", "maximal"})
"""Stems of attributes' names that tell a bound, not what a product has: `maximum internal memory`."""

_MODEL = re.compile(
    r"(?<![^\W_])(?:([^\W\d_]{1,4})[ -])?((?:[^\W_]+[-/.])*[^\W_]*[0-9][^\W_]*(?:[-/.][^\W_]+)*)", re.UNICODE
)


@cache
def _operators() -> frozenset[str]:
    words = load_lexicon().words
    groups = ("under", "over", "with", "for", "without", "between")
    return frozenset(phrase for group in groups for phrase in words[group]) | {"and", "or"}


@cache
def _price_patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    words = load_lexicon().words
    symbols = [symbol for named in words["currencies"].values() for symbol in named]
    money = rf"(?:\s*(?:{alternatives(symbols)}))?"
    amount = rf"{money}\s*{_NUMBER}{money}"
    to = alternatives(words["to"])
    return tuple(
        (re.compile(pattern, re.IGNORECASE), bounds)
        for pattern, bounds in (
            (rf"(?:{alternatives(words['between'])}){amount}\s*(?:{to}){amount}", "between"),
            (rf"{amount}\s*(?:-|–|到|至){amount}(?:\s*(?:{alternatives(symbols)}))", "between"),
            (rf"(?:{alternatives(words['under'])}){amount}", "under"),
            (rf"{amount}\s*(?:{alternatives(words['under_after'])})", "under"),
            (rf"(?:{alternatives(words['over'])}){amount}", "over"),
            (rf"{amount}\s*(?:{alternatives(words['over_after'])})", "over"),
            (rf"(?:{alternatives(words['cheap'])})", "cheap"),
        )
    )


def _find_currency(text: str) -> str:
    for code, symbols in load_lexicon().words["currencies"].items():
        if re.search(alternatives(symbols), text, re.IGNORECASE):
            return str(code)
    return ""


@cache
def _absence_pattern() -> re.Pattern[str]:
    return re.compile(alternatives(load_lexicon().words["without"]), re.IGNORECASE)


@cache
def _free_pattern() -> re.Pattern[str]:
    after = "|".join(load_lexicon().words["free_after"])
    return re.compile(rf"(?<!\w)([^\W\d_]{{3,}})-(?:{after})(?!\w)", re.IGNORECASE)


@cache
def _fits_pattern() -> re.Pattern[str]:
    return re.compile(alternatives(load_lexicon().words["for"]), re.IGNORECASE)


@cache
def _bound_patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    words: Lexicon = load_lexicon()
    return tuple(
        (name, re.compile(rf"(?:{alternatives(words.words[name])})\s*$", re.IGNORECASE))
        for name in ("under", "over")
    )


def _bound_before(text: str) -> tuple[str, str]:
    """Return "under" or "over" where a text ends so, and the words that say it."""
    for name, pattern in _bound_patterns():
        match = pattern.search(text)
        if match:
            return name, match.group()
    return "", ""


def list_kinds(demands: Iterable[Demand]) -> list[str]:
    """Return the kinds of demands, in their order, without repetitions."""
    return list(dict.fromkeys(demand.kind for demand in demands))

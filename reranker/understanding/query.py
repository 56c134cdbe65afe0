"""Understand a query: which of its words demand something that products' facts can be checked for."""

from collections.abc import Collection, Iterator, Sequence

from reranker.text.chinese import is_chinese
from reranker.text.intent import strip_intent
from reranker.text.numbers import is_measure
from reranker.understanding.chinese_absences import find_chinese_absences, is_chinese_absence
from reranker.understanding.demands import (
    Demand,
    MeasureDemand,
    ModelDemand,
    PresenceDemand,
    PriceDemand,
    QuerySpan,
    TypeDemand,
    Understanding,
    ValueDemand,
)
from reranker.understanding.lexicon import NUMBERED, load_lexicon
from reranker.understanding.measures import Measure, find_measures, parse_number
from reranker.understanding.patterns import (
    BOUNDS,
    DIMENSIONS,
    MODEL_NUMBER,
    absence_pattern,
    bound_before,
    fits_pattern,
    free_pattern,
    number_patterns,
    operators,
    price_patterns,
)
from reranker.understanding.types import names_type
from reranker.understanding.vocabulary import CatalogueVocabulary
from reranker.understanding.words import (
    Word,
    compact_words,
    join_words,
    list_words,
    normalise_text,
    stem_words,
)

_MAX_QUERY = 200
"""Characters of the longest query that is understood: beyond it is prose, which demands nothing precisely."""

_MOST_ATTRIBUTES = 12

_FEW_TYPES = 20
"""Types of a catalogue that is too small to teach what is an accessory."""

_MONTHS = frozenset(stem_words("month monat mois mes"))

_THING = 6
"""Words, of Chinese pairs of characters, in which a query at most names a thing."""


def is_understood(query: str) -> bool:
    """Return whether a normalised query is short enough to be understood."""
    return 0 < len(query) <= _MAX_QUERY


def understand(text: str, vocabulary: CatalogueVocabulary) -> Understanding:
    """Return what a query demands, by a catalogue's vocabulary. Takes less than a millisecond."""
    query = normalise_text(text)
    if not is_understood(query):
        return Understanding(query, query)
    reading = _Reading(query, vocabulary)
    demands = reading.read()
    left_out = [d.span for d in demands if isinstance(d, PriceDemand) or d.kind == "absence"]
    return Understanding(query, _cut(query, left_out), tuple(sorted(demands, key=lambda d: d.span.start)))


def _cut(query: str, spans: Sequence[QuerySpan]) -> str:
    """Return the query without these parts; the query itself where nothing else would be left."""
    core = "".join(c for i, c in enumerate(query) if not any(s.start <= i < s.end for s in spans))
    core = " ".join(core.split()).strip(" ,;-")
    return core if any(map(str.isalnum, core)) else query


class _Reading:
    """One query while it is read: what is understood already is not understood a second time."""

    def __init__(self, query: str, vocabulary: CatalogueVocabulary) -> None:
        self._query = query
        self._vocabulary = vocabulary
        self._lexicon = load_lexicon()
        self._words = list_words(query)
        self._taken: list[QuerySpan] = []
        self._named: set[int] = set()
        self._sought: set[int] = set()
        self._valued: list[QuerySpan] = []
        self._nouns = vocabulary.noun_stems
        self._all_measures = find_measures(query)
        self._fit = fits_pattern().search(query)

    def read(self) -> list[Demand]:
        demands: list[Demand] = []
        for step in (
            self._prices,
            self._absences,
            self._numbered,
            self._models,
            self._measures,
            self._features,
            self._values,
        ):
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
        words = [word for word in free if word.start not in self._named or self._starts_type(word)]
        if not any(word.stem in self._nouns for word in words):
            words = free
        while words and words[-1].text in self._lexicon.stops:
            words.pop()
        names = [word for word in words if word.stem in self._nouns]
        before_for = [word for word in names if not self._is_after_for(word)]
        accessories = self._list_accessories(words)
        if not before_for and any(not self._is_after_for(word) for word in words):
            if not accessories:
                return  # what is sought has a name that the catalogue does not know
            names = words
        stems = self._cut_unnamed([word.stem for word in before_for or names])
        if stems:
            shown = [*self._values_before(words[0]), *words]
            span = QuerySpan(shown[0].start, words[-1].end)
            yield TypeDemand(span, join_words(w.text for w in shown), stems, accessories=accessories)

    def _list_accessories(self, words: Sequence[Word]) -> frozenset[str]:
        """Return the stems that name what belongs to a thing of these words; none where it is one itself.

        They are asked of catalogues that are too small to teach types, and of Chinese titles: their words
        are pairs of characters, which name types less surely.
        """
        lexicon, ending = self._lexicon, strip_intent(self._query)[-1:]
        chinese = is_chinese(ending)
        named = lexicon.accessories.intersection(word.stem for word in self._words)
        few_types = len(self._vocabulary.types) < _FEW_TYPES
        names_a_thing = not named and ending not in lexicon.accessory_endings and len(words) <= _THING
        if not (names_a_thing and (chinese or few_types)) or any(map(self._is_after_for, words)):
            return frozenset()
        return lexicon.accessories.union(ending + after for after in lexicon.accessory_endings if chinese)

    def _cut_unnamed(self, stems: Sequence[str]) -> tuple[str, ...]:
        """Return the stems up to the last that ends a type's name: `pc` of `pc athlon`."""
        ends = self._vocabulary.type_heads
        last = max((place for place, stem in enumerate(stems, start=1) if stem in ends), default=len(stems))
        return tuple(stems[:last])

    def _values_before(self, word: Word) -> list[Word]:
        """Return the value right before a type that is part of its name in titles: `usb` in `usb stick`."""
        ends = {span.end: span for span in self._valued}
        span = ends.get(word.start - 1)
        values = [each for each in self._words if span and span.start <= each.start < span.end]
        return values if all(value.text.isalpha() for value in values) else []

    def _starts_type(self, word: Word) -> bool:
        """Return whether a word and the next name a type of the catalogue: `power` in `2m power cable`."""
        following = [other for other in self._words if other.start == word.end + 1]
        return any(f"{word.stem} {other.stem}" in self._vocabulary.types for other in following)

    def _is_pair(self, first: Word, second: Word) -> bool:
        """Return whether titles have two words side by side."""
        return self._vocabulary.spellings.count_apart(first.text, second.text) > 0

    def _continues_name(self, start: int) -> bool:
        """Return whether titles have the word that starts here behind the one before it."""
        pairs = zip(self._words, self._words[1:], strict=False)
        return any(after.start == start and self._is_pair(before, after) for before, after in pairs)

    def _is_property(self, words: Sequence[Word]) -> bool:
        """Return whether a value tells what a product has, and is no part of its name."""
        nouns = [word for word in self._free_words() if word.stem in self._nouns and word not in words]
        return bool(nouns) and words[-1].text not in self._vocabulary.modifiers

    def _is_after_for(self, word: Word) -> bool:
        return self._fit is not None and self._fit.start() <= word.start

    def _is_free(self, start: int, end: int) -> bool:
        return not any(start < span.end and span.start < end for span in self._taken)

    def _is_measured(self, start: int, end: int) -> bool:
        return any(m.start < end and start < m.end for m in self._all_measures)

    def _free_words(self) -> list[Word]:
        return [word for word in self._words if self._is_free(word.start, word.end)]

    def _prices(self) -> Iterator[PriceDemand]:
        for pattern, bounds in price_patterns():
            for match in pattern.finditer(self._query):
                span = QuerySpan(*match.span())
                if not self._is_free(span.start, span.end) or self._is_measured(span.start, span.end):
                    continue
                if self._continues_name(span.start):
                    continue  # `air max 90`
                numbers = [parse_number(text) for text in match.groups() if text and text[0].isdigit()]
                if bounds != "cheap" and not numbers:
                    continue
                low = numbers[0] if bounds in ("over", "between") else 0.0
                high = numbers[-1] if bounds in ("under", "between") else float("inf")
                if low <= high:
                    yield PriceDemand(span, low, high, bounds == "cheap")

    def _absences(self) -> Iterator[PresenceDemand]:
        for absence in find_chinese_absences(self._query, self._vocabulary):
            if self._is_free(absence.span.start, absence.span.end):
                yield absence
        for match in absence_pattern().finditer(self._query):
            if is_chinese_absence(match.group(), self._query[match.end() :]):
                continue
            after = [
                word._replace(start=word.start + match.end(), end=word.end + match.end())
                for word in list_words(self._query[match.end() :])
            ]
            things = self._until_operator(after)[:3]
            for count in range(len(things), 0, -1):
                some = things[:count]
                stems = tuple(word.stem for word in some)
                valued = self._list_valued(stems)
                attributes = () if valued else self._find_attributes(some)
                told = [place for place, stem in enumerate(stems, start=1) if stem in self._lexicon.absent]
                if not attributes and told and told[-1] < count:
                    continue  # `without cable pink` excludes no pink
                instead = sorted({s for stem in stems for s in self._lexicon.absent.get(stem, ())})
                if attributes or instead or valued or count == 1:
                    span = QuerySpan(match.start(), some[-1].end)
                    yield PresenceDemand(span, "absence", stems, attributes, tuple(instead), valued)
                    break
        for match in free_pattern().finditer(self._query):
            words = [word for word in self._words if word.start >= match.start() and word.end <= match.end()]
            if (
                words
                and self._is_free(*match.span())
                and match.group().casefold() not in self._vocabulary.words
            ):
                thing = list_words(match.group(1))[:1]
                stems = (thing[0].stem,)
                instead = sorted(self._lexicon.absent.get(thing[0].stem, ()))
                span = QuerySpan(*match.span())
                valued = self._list_valued(stems)
                attributes = () if valued else self._find_attributes(thing)
                yield PresenceDemand(span, "absence", stems, attributes, tuple(instead), valued)

    def _list_valued(self, stems: Sequence[str]) -> tuple[str, ...]:
        """Return the attributes of which one word is a value: `upper material` of leather."""
        kind = self._lexicon.values.get(stems[0], ("",))[0] if len(stems) == 1 else ""
        return tuple(self._vocabulary.kinds.get(kind, ()))

    def _until_operator(self, words: Sequence[Word]) -> list[Word]:
        taken: list[Word] = []
        for word in words:
            if word.text in operators() or (taken and word.after_break):
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

    def _numbered(self) -> Iterator[ValueDemand | MeasureDemand]:
        """Read numbers that have no unit but a name: size 42, EU 42, age 5, and years of age."""
        for pattern, kind in number_patterns():
            names = self._vocabulary.kinds.get(NUMBERED + kind, ())
            for match in pattern.finditer(self._query) if names else ():
                span = QuerySpan(*match.span())
                if not self._is_free(span.start, span.end) or self._is_measured(span.start, span.end):
                    continue
                if kind == "age":
                    yield self._read_age(span, parse_number(match.group(1)), names)
                else:
                    yield ValueDemand(span, kind, (frozenset({match.group(1).replace(",", ".")}),), names)
        if names := self._vocabulary.kinds.get(f"{NUMBERED}age", ()):
            for measure in self._all_measures:
                if measure.unit.dimension == "age" and not self._vocabulary.units.get("age"):
                    yield self._read_age(QuerySpan(measure.start, measure.end), measure.value, names)

    def _read_age(self, span: QuerySpan, years: float, names: Sequence[str]) -> MeasureDemand:
        """Return the demand for what suits an age: from half as many years on, up to it."""
        in_months = [any(word.stem in _MONTHS for word in list_words(name)) for name in names]
        factors = tuple(zip(names, (1 / 12 if each else 1.0 for each in in_months), strict=True))
        return MeasureDemand(span, years / 2, years, "age", factors)

    def _models(self) -> Iterator[ModelDemand]:
        for match in MODEL_NUMBER.finditer(self._query):
            start, end = match.start(1 if match.group(1) not in (None, *operators()) else 2), match.end()
            if not self._is_free(start, end) or self._is_measured(start, end):
                continue
            after_for = self._fit is not None and self._fit.end() <= start
            names = dict.fromkeys((compact_words(self._query[start:end]), compact_words(match.group(2))))
            mixed = [n for n in names if len(n) > 2 and not n.isdecimal() and sum(map(str.isdigit, n)) >= 2]
            bare = [n for n in names if n.isdecimal() and len(n) > 2]
            number = match.group(2).casefold()
            is_known = compact_words(number) in self._vocabulary.values or is_measure(number)
            first = self._query[start:end].partition(" ")[0].casefold()
            beside_noun = bool(bare) and first in self._nouns
            is_size = first in self._lexicon.attributes["size"]
            if is_size or is_known or not (mixed or (after_for and bare)) or (beside_noun and not after_for):
                continue
            yield ModelDemand(QuerySpan(start, end), (*mixed, *bare), after_for)

    def _measures(self) -> Iterator[MeasureDemand]:
        for measure in self._all_measures:
            if not self._is_free(measure.start, measure.end):
                continue
            bound = bound_before(self._query[: measure.start])
            start = measure.start - len(bound[1])
            low = 0.0 if bound[0] == "under" else measure.value
            high = float("inf") if bound[0] == "over" else measure.value
            attributes, used, beside = self._find_holders(measure)
            self._named |= {word.start for word in used if word.start - measure.end in (0, 1)}
            span = QuerySpan(start, measure.end)
            dimension = measure.unit.dimension
            company, named = tuple(beside), bool(used)
            yield MeasureDemand(span, low, high, dimension, attributes, named, company, measure.tolerance)

    def _find_holders(self, measure: Measure) -> tuple[tuple[tuple[str, float], ...], list[Word], list[str]]:
        """Return the attributes that may hold a measure, the query's words that say so, and their company."""
        words = [word for word in self._free_words() if not any(map(str.isdigit, word.text))]
        after = [word for word in words if word.start >= measure.end][:2]
        before = [word for word in words if word.end <= measure.start][-1:]
        after = after[: next((i for i, word in enumerate(after) if word.text in operators()), 2)]
        named_so = self._list_name()
        after = [word for word in after if word.start not in named_so]
        before = [word for word in before if word.start not in named_so]
        numbers = self._vocabulary.numbers
        company = [word for word in after if self._may_accompany(word)]
        scored = []
        for name, unit in self._vocabulary.units.get(measure.unit.dimension, ()):
            if abs(unit.scale - measure.unit.scale) > 1:
                continue
            own = {word.stem for word in list_words(name)}
            in_name = [word for word in (*after, *before) if word.stem in own]
            in_company = [word for word in company if word.stem in numbers[name].beside]
            score: float = 2 * len(in_name) + len(in_company)
            if score and BOUNDS & own:
                score = 0.5
            same_scale = unit.scale == measure.unit.scale
            scored.append(
                (score, same_scale, numbers[name].count, name, unit.factor, {*in_name, *in_company})
            )
        scored.sort(key=lambda row: row[:3], reverse=True)
        named = [row for row in scored if row[0] > 0]
        chosen = (named or [row for row in scored if row[1]] or scored)[:_MOST_ATTRIBUTES]
        used = sorted({word for row in named for word in row[5]}, key=lambda word: word.start)
        beside = [word.stem for word in used]
        return tuple((row[3], row[4]) for row in chosen), used, beside

    def _may_accompany(self, word: Word) -> bool:
        """Return whether a word may tell what is measured: not where it alone names the product."""
        types = self._vocabulary.types
        others = [other for other in self._words if other.stem in types and other.stem != word.stem]
        return word.stem not in types or bool(others)

    def _list_name(self) -> set[int]:
        """Return where the words of the product's name start, where it is a type of several words.

        The memory of `64 GB memory card` is no attribute: nothing but the card is left to be sought.
        """
        free = self._free_words()
        for length in (3, 2):
            for i in range(len(free) - length + 1):
                some = free[i : i + length]
                if " ".join(word.stem for word in some) in self._vocabulary.types:
                    own = {word.start for word in some}
                    others = [word for word in free if word.start not in own]
                    return set() if any(word.stem in self._vocabulary.types for word in others) else own
        return set()

    def _features(self) -> Iterator[PresenceDemand]:
        """Read what the query wants the product to have: the full name of an attribute that is yes or no."""
        free = self._free_words()
        for length in (3, 2, 1):
            for i in range(len(free) - length + 1):
                some = free[i : i + length]
                compact = compact_words("".join(word.text for word in some))
                stems = "".join(sorted({word.stem for word in some}))
                names = self._vocabulary.flags_by_name.get(compact) or self._vocabulary.flags_by_name.get(
                    stems
                )
                free_still = all(self._is_free(word.start, word.end) for word in some)
                if not names or not free_still:
                    continue
                if self._is_sought(some):
                    self._sought |= {word.start for word in some}
                    continue
                if some[0].stem not in self._lexicon.values:
                    span = QuerySpan(some[0].start, some[-1].end)
                    yield PresenceDemand(span, "feature", tuple(word.stem for word in some), tuple(names))

    def _is_sought(self, words: Sequence[Word]) -> bool:
        """Return whether words name what is sought, no feature of it: the charger of `charger for laptop`.

        They are a type, and nothing else that is not after "for" is one.
        """
        if " ".join(word.stem for word in words) not in self._vocabulary.types:
            return False
        heads = self._vocabulary.type_heads
        others = [
            word
            for word in self._free_words()
            if word not in words and word.stem in heads and word.text not in self._vocabulary.brands
        ]
        return all(map(self._is_after_for, others)) and not self._is_after_for(words[0])

    def _values(self) -> Iterator[ValueDemand]:
        free = [word for word in self._free_words() if word.start not in self._sought]
        known = self._vocabulary.values
        position = 0
        while position < len(free):
            word = free[position]
            position += 1
            if word.stem in self._lexicon.values:
                kind, name = self._lexicon.values[word.stem]
                stems = self._lexicon.synonyms[kind, name]
                names = self._vocabulary.kinds.get(kind, ())
                yield ValueDemand(QuerySpan(word.start, word.end), kind, (stems,), names)
                continue
            if DIMENSIONS.fullmatch(word.text):
                yield ValueDemand(QuerySpan(word.start, word.end), "size", (frozenset({word.stem}),), ())
                continue
            meanings = [
                m for m in known.get(word.stem, ()) if m.reliability >= 0.8 and not names_type(m.attribute)
            ]
            if not meanings or word.text.isdecimal() or word.text in operators():
                continue
            shared = {m.attribute for m in meanings}
            together = [word]
            for following in free[position : position + 2]:
                both = {m.attribute for m in known.get(following.stem, ())} & shared
                is_apart = following.start > together[-1].end + 1
                if (
                    is_apart
                    or not both
                    or following.stem in self._lexicon.values
                    or _describes(following, shared)
                ):
                    break
                together.append(following)
                shared = both
                position += 1
            for following in free[position : position + 1]:
                if following.start == together[-1].end + 1 and _describes(following, shared):
                    self._named.add(following.start)
                    shared = {name for name in shared if _describes(following, {name})}
                    position += 1
            stems_of = tuple(frozenset({each.stem}) for each in together)
            reliability = max(m.reliability for m in meanings)
            span = QuerySpan(word.start, together[-1].end)
            precise = self._is_property(together)
            yield ValueDemand(span, "value", stems_of, tuple(sorted(shared)), reliability, precise)


def _describes(word: Word, attributes: Collection[str]) -> bool:
    """Return whether a word is in the name of one of the attributes: `processor` in `i7 processor`."""
    return any(word.stem in stem_words(name) for name in attributes)

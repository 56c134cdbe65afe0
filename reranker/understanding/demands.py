"""What a query may demand. Each demand has its kind and the part of the normalised query that says it."""

from dataclasses import dataclass

from reranker.understanding.measures import EQUAL

KINDS = (
    "measure",
    "colour",
    "material",
    "gender",
    "age",
    "size",
    "value",
    "price",
    "absence",
    "feature",
    "model",
    "type",
)
"""Kinds of demands, in the order of the weights."""

_SOFT_KINDS = frozenset({"value", "feature", "type"})
"""Kinds that any word may be read as: what is said of them is less certain than of a number or a colour."""


@dataclass(frozen=True, slots=True)
class QuerySpan:
    """A part of the normalised query, from `start` to `end`."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class MeasureDemand:
    """A number with a unit. `low` to `high` in the dimension's base unit; both are equal for one number.

    `attributes` are those that may hold it, each with the factor of its unit, the likeliest first. `named` is
    true where the query says which (`16 GB RAM`); `beside` are stems that then stand beside it in texts.
    `tolerance` is by how much others may differ, as the logarithm of a ratio: 15.4 inches are not 15.6.
    """

    span: QuerySpan
    low: float
    high: float
    dimension: str
    attributes: tuple[tuple[str, float], ...] = ()
    named: bool = False
    beside: tuple[str, ...] = ()
    tolerance: float = EQUAL
    kind: str = "measure"


@dataclass(frozen=True, slots=True)
class ValueDemand:
    """A value of some attributes. `stems` has a set of synonyms for each word, all of which must be there.

    `reliability` is the share of products with the words in their titles whose attributes agree. A `precise`
    one is a property that a product has, and no part of its name: the i7 of `i7 laptop`, not the usb of
    `usb stick`.
    """

    span: QuerySpan
    kind: str
    stems: tuple[frozenset[str], ...]
    attributes: tuple[str, ...]
    reliability: float = 1.0
    precise: bool = False


@dataclass(frozen=True, slots=True)
class PriceDemand:
    """A price from `low` to `high`, whatever its currency; `cheap` where the query only wants little."""

    span: QuerySpan
    low: float
    high: float
    cheap: bool = False
    kind: str = "price"


@dataclass(frozen=True, slots=True)
class PresenceDemand:
    """Something that the product must have (`feature`) or must not have (`absence`).

    `attributes` are those that tell; `stems` are its words, `instead` the stems of words that tell of its
    absence, such as wireless for a cable. Where it is a value (`not leather`), `valued` are the attributes
    that have it, and another value there tells of its absence.
    """

    span: QuerySpan
    kind: str
    stems: tuple[str, ...]
    attributes: tuple[str, ...]
    instead: tuple[str, ...] = ()
    valued: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelDemand:
    """A model number that the product is or fits, without separators. `fits` where the query says so."""

    span: QuerySpan
    models: tuple[str, ...]
    fits: bool
    kind: str = "model"


@dataclass(frozen=True, slots=True)
class TypeDemand:
    """What the product is: `words` as the query has them, and their stems.

    `accessories` are stems of words that name what belongs to such a product, where the catalogue's types
    are too few to tell.
    """

    span: QuerySpan
    words: str
    stems: tuple[str, ...]
    kind: str = "type"
    accessories: frozenset[str] = frozenset()


Demand = MeasureDemand | ValueDemand | PriceDemand | PresenceDemand | ModelDemand | TypeDemand


@dataclass(frozen=True, slots=True)
class Correction:
    """A part of a query as it came, and what it was changed into."""

    original: str
    corrected: str


@dataclass(frozen=True, slots=True)
class Understanding:
    """What was understood of a query. Spans are places in `text`, the normalised query after `corrections`.

    `core` is the query without prices and exclusions: what the encoder should read. `original` is the
    normalised query before its corrections; empty where there are none.
    """

    text: str
    core: str
    demands: tuple[Demand, ...] = ()
    original: str = ""
    corrections: tuple[Correction, ...] = ()

    @property
    def is_checked(self) -> bool:
        """Whether the catalogue's facts can be checked for a demand that is no part of products' names."""
        return any(_is_precise(demand) and is_checkable(demand) for demand in self.demands)

    @property
    def is_soft(self) -> bool:
        """Whether the demands are only worded, and none is a property that has no part in products' names."""
        return not any(map(_is_precise, self.demands))

    @property
    def sought(self) -> tuple[Demand, ...]:
        """The demands that products are sought by: the precise ones, all where there are none."""
        return tuple(filter(_is_precise, self.demands)) or self.demands


def _is_precise(demand: Demand) -> bool:
    return demand.kind not in _SOFT_KINDS or (isinstance(demand, ValueDemand) and demand.precise)


def is_checkable(demand: Demand) -> bool:
    """Return whether a catalogue has facts that meet a demand or contradict it, not only words in texts.

    Women are no fact where no attribute says whom products are for: those that leave it open are not worse.
    """
    if isinstance(demand, TypeDemand):
        return False
    if isinstance(demand, ValueDemand | PresenceDemand) and not demand.attributes:
        return isinstance(demand, ValueDemand) and any(map(_has_digit, demand.stems))
    return True


def _has_digit(stems: frozenset[str]) -> bool:
    return any(character.isdigit() for stem in stems for character in stem)

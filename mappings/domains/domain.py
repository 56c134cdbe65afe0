"""A domain: one folder that says what a catalogue of its kind is like and how it is searched.

    domain.toml      settings, rules, units, intent words, wording of the page, and the demo
    fields.toml      the field map of its catalogues; the order of columns is the order that is encoded
    thesaurus.txt    words that mean the same, one group a line, separated by |, and behind < what they are
                     kinds of
    and whatever files its demo's catalogue is in

Every part may be missing: an empty folder is a domain in which everything is as in a shop.
"""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from mappings.errors import SettingsError

SHOP_DOMAIN = "shop"
"""The domain that is in force where none is named."""

_FOLDER = Path(__file__).parent
_FILE = "domain.toml"


class ClientRule(Struct, frozen=True, forbid_unknown_fields=True):
    """What may be shown to a client: products whose `field` passes a test by the client's value of `name`.

    `at_most` and `at_least` compare whole numbers from `range`; `none_of` asks that the product has none of
    the client's values, `lacks` that its text has none of them as a phrase. For the first two, a product
    without the field is withheld, unless `missing` is "allow". `says` is the mark of a product that breaks
    the rule, with `{client}` for the client's value.
    """

    name: Annotated[str, Meta(pattern=r"^[a-z_]{1,40}$")]
    field: Annotated[str, Meta(min_length=1)]
    test: Literal["at_most", "at_least", "none_of", "lacks"]
    says: Annotated[str, Meta(min_length=1)]
    range: tuple[int, int] = (0, 0)
    missing: Literal["refuse", "allow"] = "refuse"
    required: bool = False
    values: dict[str, Annotated[str, Meta(min_length=1)]] = {}
    """By value of a `none_of` rule: further ways to say it, separated by |."""
    pattern: str = ""
    """A regular expression that reads the client's values from a query. Its first group that matches is one
    of them.
    """
    split: str = ""
    """A regular expression of what separates several values of a `lacks` rule: or, and, 和."""


class DomainLanguage(Struct, frozen=True, forbid_unknown_fields=True):
    """Words of the domain's queries.

    `before` and `after` are intent words, regular expressions of what is said around the thing that is
    sought. `units` are by dimension and name: factor to the dimension's base unit, scale, and spellings
    separated by blanks, as in reranker/understanding/data/units.json.
    """

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    units: dict[str, dict[str, tuple[float, int, str]]] = {}


class DomainPage(Struct, frozen=True, forbid_unknown_fields=True):
    """Wording of the preview page, and of the demo: what is sought, and what everybody must know of it.

    `evidence` is the field that says where a product's facts are from, such as `attributes.source`; it is
    shown beside every hit.
    """

    title: str = ""
    placeholder: str = ""
    notice: str = ""
    evidence: str = ""


class DomainQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """A query of the demo, what its hits show, and the client who asks."""

    text: str
    shows: str
    client: dict[str, Any] = {}


class DomainClient(Struct, frozen=True, forbid_unknown_fields=True):
    """A made-up client as whom the preview page can search."""

    name: str
    values: dict[str, Any]


class DomainDemo(Struct, frozen=True, forbid_unknown_fields=True):
    """The demo's catalogue, one of the folder's files or `package:NAME`, how many products it has, whose the
    texts are, its queries, and clients of the page.
    """

    catalogue: str = ""
    source: str = ""
    queries: tuple[DomainQuery, ...] = ()
    clients: tuple[DomainClient, ...] = ()


class Domain(Struct, frozen=True, forbid_unknown_fields=True):
    """A domain. `name` is how it was asked for: a name, or the path of a folder.

    `settings` are by section and key: they replace defaults, and a file or the environment replaces them.
    `minimum_match` is how many words of a query must match, as in OpenSearch's `minimum_should_match`; empty
    is as in a shop. `thesaurus` has further sources of words, `package:NAME`, beside thesaurus.txt.
    `concept_weight` is what a concept that query and product share counts beside the words, and
    `concept_decay` by how much less the next broader one does; at a weight of 0 concepts count nothing.
    """

    name: str = SHOP_DOMAIN
    settings: dict[str, dict[str, Any]] = {}
    rules: tuple[ClientRule, ...] = ()
    language: DomainLanguage = DomainLanguage()
    page: DomainPage = DomainPage()
    demo: DomainDemo = DomainDemo()
    minimum_match: str = ""
    thesaurus: tuple[str, ...] = ()
    concept_weight: Annotated[float, Meta(ge=0, le=100)] = 0.0
    concept_decay: Annotated[float, Meta(gt=0, le=1)] = 0.8

    @property
    def folder(self) -> Path:
        """The domain's folder."""
        return _find_folder(self.name)

    @property
    def field_map(self) -> Path | None:
        """The file with the field map of the domain's catalogues; None where there is none."""
        return self._file("fields.toml")

    @property
    def thesaurus_file(self) -> Path | None:
        """The file with words that mean the same; None where there is none."""
        return self._file("thesaurus.txt")

    def _file(self, name: str) -> Path | None:
        path = self.folder / name
        return path if path.is_file() else None


def list_domains() -> list[str]:
    """Return the names of the domains that come with Attune."""
    return sorted(path.parent.name for path in _FOLDER.glob(f"*/{_FILE}"))


@cache
def load_domain(name: str) -> Domain:
    """Return the domain of a name, or of a folder.

    Raises SettingsError where there is no such domain, and for whatever is wrong in its domain.toml.
    """
    path = _find_folder(name) / _FILE
    if not path.is_file():
        return Domain(name=name)
    try:
        values = msgspec.toml.decode(path.read_bytes(), type=dict[str, Any])
        domain = msgspec.convert({**values, "name": name}, type=Domain)
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise SettingsError(f"domain {name}: {path} can't be read: {error}") from error
    for rule in domain.rules:
        _check_pattern(name, rule)
        if rule.test in ("at_most", "at_least") and not rule.range[0] < rule.range[1]:
            raise SettingsError(f"domain {name}: the rule {rule.name} needs a range, such as range = [1, 7]")
    return domain


def _check_pattern(name: str, rule: ClientRule) -> None:
    for pattern in (rule.pattern, rule.split):
        try:
            re.compile(pattern)
        except re.error as error:
            raise SettingsError(f"domain {name}: the rule {rule.name} has a bad pattern: {error}") from error
    if rule.pattern and not re.compile(rule.pattern).groups:
        raise SettingsError(f"domain {name}: the pattern of the rule {rule.name} has no group")


def find_settings(domain: Domain) -> Mapping[str, object]:
    """Return the domain's settings by `section.key`."""
    return {
        f"{section}.{key}": value for section, keys in domain.settings.items() for key, value in keys.items()
    }


def _find_folder(name: str) -> Path:
    shipped = _FOLDER / name
    if name and "/" not in name and "\\" not in name and (shipped / _FILE).is_file():
        return shipped
    folder = Path(name)
    if name and folder.is_dir():
        return folder
    raise SettingsError(
        f"there is no domain {name}: it is neither a folder nor one of {', '.join(list_domains())}"
    )

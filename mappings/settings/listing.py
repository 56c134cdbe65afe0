"""A list of all settings with their types, defaults and what is allowed in words."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, get_type_hints

from msgspec.inspect import BoolType, FloatType, IntType, LiteralType, Metadata, StrType, Type, type_info

from mappings.settings.sections import SECTIONS, environment_variable


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. `kind` is its type with limits, as msgspec takes it; `allowed` says the same in words."""

    name: str
    kind: Any
    default: object
    allowed: str

    @property
    def variable(self) -> str:
        """The environment variable that overrides it."""
        return environment_variable(self.name)


def list_settings() -> Iterator[Setting]:
    """Yield every setting, in the order of the sections."""
    for section, values in SECTIONS.items():
        kinds = get_type_hints(values, include_extras=True)
        for key in fields(values):
            kind = kinds[key.name]
            yield Setting(f"{section}.{key.name}", kind, key.default, _allowed(type_info(kind)))


def _allowed(kind: Type) -> str:
    match kind:
        case Metadata(extra=extra):
            return str((extra or {})["allowed"])
        case BoolType():
            return "true or false"
        case LiteralType(values=values):
            return " or ".join(f'"{value}"' for value in values)
        case IntType():
            return f"a whole number{_limits(kind)}"
        case FloatType():
            return f"a number{_limits(kind)}"
        case StrType(min_length=least):
            return "a text that is not empty" if least else "a text"
    raise TypeError(f"settings of the type {kind} have no description")


def _limits(number: IntType | FloatType) -> str:
    if number.ge is not None and number.le is not None:
        return f" from {number.ge} to {number.le}"
    if number.ge is not None:
        return f" of at least {number.ge}"
    return f" above {number.gt}" if number.gt is not None else ""

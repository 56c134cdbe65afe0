"""A terminology as its package has it."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from mappings.domains import Concept
from mappings.types import JsonObject


@dataclass(frozen=True)
class Terminology:
    """Entries as records of a catalogue, concepts, and the moment of the data."""

    entries: Sequence[JsonObject]
    concepts: Sequence[Concept]
    moment_ms: int


def find_package_folder(name: str) -> Path:
    """Return the folder of an installed package, without importing it. Raises ImportError."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise ImportError(name)
    return Path(spec.origin).parent

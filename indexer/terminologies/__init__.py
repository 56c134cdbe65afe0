"""Terminologies that installed packages hold, as entries of a catalogue and as words that mean the same."""

from collections.abc import Callable, Mapping, Sequence

from indexer.terminologies import hpo, icd10cm
from indexer.terminologies.terminology import Terminology
from mappings.domains import Concept
from mappings.errors import CatalogueError

__all__ = ["Terminology", "load_concepts", "read_terminology"]

_READERS: Mapping[str, Callable[[], Terminology]] = {
    "icd-10-cm": icd10cm.read_icd10cm,
    "icd-10-cm-categories": icd10cm.read_icd10cm_categories,
    "hpo": hpo.read_hpo,
}


def read_terminology(name: str) -> Terminology:
    """Return a terminology by name. Raises CatalogueError where it is unknown or not installed."""
    if name not in _READERS:
        raise CatalogueError(f"there is no catalogue package:{name}; there are: {', '.join(_READERS)}")
    try:
        return _READERS[name]()
    except ImportError as error:
        raise CatalogueError(f"package:{name} is not installed: pip install 'attune[medicine]'") from error


def load_concepts(name: str) -> Sequence[Concept]:
    """Return the concepts of a terminology. Raises as `read_terminology` does."""
    return read_terminology(name).concepts

"""The models that come with Attune, and which of them reads a catalogue."""

from collections.abc import Iterable
from importlib import resources
from pathlib import Path

from mappings.types import Product
from reranker.model import locate_shipped_model
from reranker.text.chinese import is_chinese

_FEW = 0.02
"""Share of a catalogue's titles up to which another script is not worth a second model."""


def locate_chinese_model() -> Path:
    """Folder of the Chinese weights that come with Attune."""
    return Path(str(resources.files("reranker").joinpath("weights_chinese")))


def locate_mixed_model() -> Path:
    """Folder of the shipped model for catalogues that are partly Chinese."""
    return Path(str(resources.files("reranker").joinpath("weights_mixed")))


def list_shipped_models() -> tuple[Path, ...]:
    """Return the folders of all shipped models, the default one first."""
    return locate_shipped_model(), locate_chinese_model(), locate_mixed_model()


def choose_shipped_model(products: Iterable[Product]) -> Path:
    """Return the folder of the shipped model for a catalogue, by a sample of its products.

    That is the Chinese one where nearly all titles have Chinese characters, the default one where nearly none
    has, and else the mixed one. Titles without a letter say nothing.
    """
    chinese = [is_chinese(p.title) for p in products if any(map(str.isalpha, p.title))]
    share = sum(chinese) / max(1, len(chinese))
    if share <= _FEW:
        return locate_shipped_model()
    return locate_chinese_model() if share >= 1 - _FEW else locate_mixed_model()

"""The models that commands have, found by their versions."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from indexer.catalogue.products import read_products
from indexer.catalogue.records import Item
from indexer.rebuild.product_source import CatalogueSource, IndexSource
from indexer.store.id_set import IdSet
from mappings.errors import ModelMismatch
from mappings.settings import ModelSettings
from mappings.types import Product
from reranker.mixed_model import AnyModel, load_any_model
from reranker.shipped_models import list_shipped_models, locate_chinese_model, locate_mixed_model

_SAMPLE = 1000
"""Products that say which languages a catalogue is in."""


class ModelFolders:
    """The models of some folders, each loaded when it is first needed."""

    def __init__(self, folders: Sequence[Path], threads: int) -> None:
        self.folders = list(dict.fromkeys(folders))
        self._threads = threads
        self._loaded: dict[Path, AnyModel] = {}

    @property
    def current(self) -> AnyModel:
        """The model of the first folder."""
        return self._load(self.folders[0])

    def prefer(self, folder: Path) -> None:
        """Let new indexes be made with the model in `folder`."""
        self.folders = list(dict.fromkeys([folder, *self.folders]))

    def prefer_version(self, version: str) -> bool:
        """Let new indexes be made with the model of a version; return whether there is one."""
        folder = next((each for each in self.folders if self._load(each).version == version), None)
        if folder:
            self.prefer(folder)
        return folder is not None

    def find(self, version: str) -> AnyModel:
        """Return the model of a version. Raises ModelMismatch where none of the folders has it."""
        for folder in self.folders:
            if self._load(folder).version == version:
                return self._load(folder)
        versions = ", ".join(model.version for model in self._loaded.values())
        raise ModelMismatch(
            f"the index was made with model {version}; the available models are {versions}: "
            "name its folder by --model, or by the setting model.folder or model.others"
        )

    def _load(self, folder: Path) -> AnyModel:
        if folder not in self._loaded:
            self._loaded[folder] = load_any_model(folder, self._threads)
        return self._loaded[folder]


def model_folders(model: Path | None, settings: ModelSettings) -> ModelFolders:
    """Return the models of the option `--model` and of the settings, and those shipped with Attune."""
    named = [Path(folder) for folder in (settings.folder, *settings.other_folders) if folder]
    return ModelFolders([*([model] if model else []), *named, *list_shipped_models()], settings.threads)


def sample_products(source: CatalogueSource | IndexSource) -> Iterator[Product]:
    """Yield the first products of a catalogue or of an index."""
    if isinstance(source, CatalogueSource):
        outcomes = read_products(source.catalogue.records(), source.field_map)
        yield from (each.product for each in islice(outcomes, _SAMPLE) if isinstance(each, Item))
        return
    with IdSet() as ids:
        yield from (each.product for each in islice(source.read(ids), _SAMPLE) if isinstance(each, Item))


def describe_choice(folder: Path) -> str:
    """Return a sentence for the user where another shipped model than the default one encodes."""
    if folder == locate_chinese_model():
        return "The titles are Chinese: Attune's Chinese model encodes them. --model names another."
    if folder == locate_mixed_model():
        return (
            "Some titles are Chinese: Attune's Chinese model encodes those, the default one all others. "
            "--model names one for all."
        )
    return ""


def names_model(model: Path | None, settings: ModelSettings) -> bool:
    """Return whether the option `--model` or a setting says which model new indexes are made with."""
    return bool(model or settings.folder)

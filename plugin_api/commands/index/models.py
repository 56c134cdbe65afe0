"""The models that commands have, found by their versions."""

from collections.abc import Sequence
from pathlib import Path

from indexer.store.encoder import ProductEncoder
from mappings.errors import ModelMismatch
from mappings.settings import ModelSettings
from reranker.model import load_model


class ModelFolders:
    """The models of some folders, each loaded when it is first needed.

    None is the one shipped with Attune.
    """

    def __init__(self, folders: Sequence[Path | None], threads: int) -> None:
        self.folders = list(dict.fromkeys(folders))
        self._threads = threads
        self._loaded: list[ProductEncoder] = []

    @property
    def current(self) -> ProductEncoder:
        """The model of the first folder."""
        return self._loaded[0] if self._loaded else self._load_next()

    def find(self, version: str) -> ProductEncoder:
        """Return the model of a version. Raises ModelMismatch where none of the folders has it."""
        for model in self._loaded:
            if model.version == version:
                return model
        while len(self._loaded) < len(self.folders):
            model = self._load_next()
            if model.version == version:
                return model
        versions = ", ".join(model.version for model in self._loaded)
        raise ModelMismatch(
            f"the index was made with model {version}; the available models are {versions}: "
            "name its folder by --model, or by the setting model.folder or model.others"
        )

    def _load_next(self) -> ProductEncoder:
        model = load_model(self.folders[len(self._loaded)], self._threads)
        self._loaded.append(model)
        return model


def model_folders(model: Path | None, settings: ModelSettings) -> ModelFolders:
    """Return the models of the option `--model` and of the settings, and the one shipped with Attune."""
    named = [Path(folder) for folder in (settings.folder, *settings.other_folders) if folder]
    return ModelFolders([*([model] if model else []), *named, None], settings.threads)

"""The models that commands have at hand, found by their versions."""

from collections.abc import Sequence
from pathlib import Path

from indexer.store.encoder import ProductEncoder
from mappings.errors import ModelMismatch
from mappings.settings import ModelSettings
from reranker.model import load_model


class ModelFolders:
    """Models of some folders, each loaded when it is first needed; None is the one shipped with Attune."""

    def __init__(self, folders: Sequence[Path | None], threads: int) -> None:
        self._folders = list(dict.fromkeys(folders))
        self._threads = threads
        self._loaded: dict[str, ProductEncoder] = {}

    def of(self, version: str) -> ProductEncoder:
        """Return the model of a version. Raises ModelMismatch where none of the folders has it."""
        while version not in self._loaded and self._folders:
            model = load_model(self._folders.pop(0), self._threads)
            self._loaded[model.version] = model
        if version not in self._loaded:
            raise ModelMismatch(
                f"the index was made with model {version}, and at hand are {', '.join(self._loaded)}: "
                "name its folder by --model, or by the setting model.folder or model.others"
            )
        return self._loaded[version]


def model_folders(model: Path | None, settings: ModelSettings) -> ModelFolders:
    """Return the models of the option `--model` and of the settings, and the one shipped with Attune."""
    named = [Path(folder) for folder in (settings.folder, *settings.other_folders) if folder]
    return ModelFolders([*([model] if model else []), *named, None], settings.threads)

"""What the command line gives each command."""

import os
from pathlib import Path

from mappings.settings import Settings, load_settings


class CommandContext:
    """The settings, read from file and environment when a command first asks for them."""

    def __init__(self, config: Path | None) -> None:
        self._config = config
        self._settings: Settings | None = None

    @property
    def settings(self) -> Settings:
        """The settings in force. Raises SettingsError for a bad file or variable."""
        if self._settings is None:
            self._settings = load_settings(self._config, os.environ)
        return self._settings

"""What the command line gives each command."""

import os
from pathlib import Path

from mappings.domains import Domain, load_domain
from mappings.settings import Settings, load_settings


class CommandContext:
    """The settings, read from file and environment when a command first asks for them."""

    def __init__(self, config: Path | None) -> None:
        self._config = config
        self._settings: Settings | None = None
        self._domain = ""

    def choose_domain(self, name: str) -> None:
        """Take the settings of a domain, in place of the one that the settings name."""
        self._domain, self._settings = name, None

    @property
    def settings(self) -> Settings:
        """The settings in force. Raises SettingsError for a bad file or variable."""
        if self._settings is None:
            self._settings = load_settings(self._config, os.environ, self._domain)
        return self._settings

    @property
    def domain(self) -> Domain:
        """The domain in force. Raises SettingsError as `settings` does."""
        return load_domain(self.settings.domain.name)

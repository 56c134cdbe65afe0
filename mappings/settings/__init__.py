"""The settings: their types, limits and defaults, and how they are read from a file and the environment."""

from mappings.settings.listing import Setting, list_settings
from mappings.settings.loading import ENV_CONFIG, ENV_HOME, attune_home, load_settings
from mappings.settings.sections import (
    SECRETS,
    ClickSettings,
    DatabaseSettings,
    DomainSettings,
    ExperimentSettings,
    IndexSettings,
    ModelSettings,
    NodeSettings,
    OpenSearchSettings,
    PictureSettings,
    PreviewSettings,
    SearchSettings,
    Settings,
    ShopperSettings,
    SidecarSettings,
    SpeechSettings,
)
from mappings.settings.tuning import TUNING, UNTUNED, TunedSettings, is_free
from mappings.settings.value_types import FusionMethod
from mappings.settings.variants import VARIANTS, apply_variant, list_variants, read_variant

__all__ = [
    "ENV_CONFIG",
    "ENV_HOME",
    "SECRETS",
    "TUNING",
    "UNTUNED",
    "VARIANTS",
    "ClickSettings",
    "DatabaseSettings",
    "DomainSettings",
    "ExperimentSettings",
    "FusionMethod",
    "IndexSettings",
    "ModelSettings",
    "NodeSettings",
    "OpenSearchSettings",
    "PictureSettings",
    "PreviewSettings",
    "SearchSettings",
    "Setting",
    "Settings",
    "ShopperSettings",
    "SidecarSettings",
    "SpeechSettings",
    "TunedSettings",
    "apply_variant",
    "attune_home",
    "is_free",
    "list_settings",
    "list_variants",
    "load_settings",
    "read_variant",
]

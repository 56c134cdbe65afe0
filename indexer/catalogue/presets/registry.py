"""Find the preset that a source's columns show, or that a person names, and prepare records by it."""

from collections.abc import Iterable, Iterator

from indexer.catalogue.field_map import FieldMap
from indexer.catalogue.presets import (
    amazon,
    bigcommerce,
    builders,
    feeds,
    magento,
    shopify,
    shops,
    woocommerce,
)
from indexer.catalogue.presets.preset import Preset
from indexer.catalogue.records import LeftOut, Record, Reject
from mappings.errors import SettingsError

PRESETS: tuple[Preset, ...] = (
    *shopify.SHOPIFY,
    *woocommerce.WOOCOMMERCE,
    *magento.MAGENTO,
    *bigcommerce.BIGCOMMERCE,
    *shops.PRESTASHOP_AND_SHOPWARE,
    *amazon.AMAZON,
    *builders.BUILDERS,
    *feeds.FEEDS,
)
"""All presets, the more specific before the less specific."""


def recognise_preset(columns: tuple[str, ...]) -> Preset | None:
    """Return the preset whose signature the columns have, None where there is none."""
    if columns and columns[0].startswith(amazon.TEMPLATE_STARTS):
        return next(preset for preset in PRESETS if preset.name == "amazon-template")
    return next((preset for preset in PRESETS if preset.matches(columns)), None)


def find_preset(name: str, columns: tuple[str, ...]) -> Preset:
    """Return the preset of that name; of several that begin with it, the one that fits the columns best.

    `shopify` is `shopify-csv` or `shopify-json`. Raises SettingsError for an unknown name.
    """
    members = [preset for preset in PRESETS if preset.name == name or preset.name.startswith(f"{name}-")]
    if not members:
        known = ", ".join(preset.name for preset in PRESETS)
        raise SettingsError(f"there is no preset {name!r} (known: {known})")
    recognised = recognise_preset(columns)
    return recognised if recognised in members else max(members, key=lambda preset: preset.fit(columns))


def prepare_records(
    records: Iterable[Record | Reject], field_map: FieldMap
) -> Iterator[Record | Reject | LeftOut]:
    """Yield the records as the field map's preset prepares them, without a preset as they are."""
    preset = next((preset for preset in PRESETS if preset.name == field_map.preset), None)
    if field_map.preset and preset is None:
        raise SettingsError(f"there is no preset {field_map.preset!r}")
    return preset.prepare(records) if preset and preset.prepare else iter(records)

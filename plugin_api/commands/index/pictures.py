"""The pictures of `attune index --images` and `attune attach --images`."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from indexer.pictures.encoding import CataloguePictures, PictureStats
from indexer.pictures.sources import open_picture_source
from mappings.errors import SettingsError
from mappings.settings import Settings
from plugin_api.terminal import format_count
from reranker.pictures.encoder import load_picture_encoder


def open_pictures(place: str, settings: Settings, vectors: str = "") -> CataloguePictures | None:
    """Return the pictures at a place: a folder or `web`; None for no place.

    `vectors` is the type of the index's vectors, by default the setting `index.vectors`. Raises SettingsError
    and ModelError.
    """
    if not place:
        return None
    if find_spec("PIL") is None:
        raise SettingsError("--images needs Pillow: pip install 'attune[pictures]'")
    folder = Path(settings.pictures.folder) if settings.pictures.folder else None
    encoder = load_picture_encoder(folder, settings.model.threads)
    source = open_picture_source(place, settings.pictures)
    return CataloguePictures(source, encoder, settings.pictures, vectors or settings.index.vectors)


def summarize_pictures(stats: PictureStats) -> Iterator[str]:
    """Yield what became of the pictures, for people."""
    yield (
        f"Pictures: {stats.encoded:,} products encoded, {stats.reused:,} had theirs, "
        f"{stats.without:,} have none."
    )
    if stats.kept:
        yield f"{stats.kept:,} keep an earlier one, for theirs could not be read."
    if stats.broken:
        yield f"{format_count(stats.broken, 'picture')} could not be read, such as:"
        yield from (f"  {name}: {reason}" for name, reason in list(stats.examples.items())[:5])

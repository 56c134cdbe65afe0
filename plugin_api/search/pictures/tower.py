"""The picture tower of a process, and its way into the text space of each model."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from mappings.errors import BadPicture, BadRequest, SettingsError
from mappings.settings import PictureSettings
from plugin_api.search.query.base64_data import decode_base64
from reranker.pictures.encoder import PictureEncoder, load_picture_encoder
from reranker.pictures.evidence import PictureScale
from reranker.pictures.projection import PictureProjection, open_projection
from reranker.pictures.reading import read_picture
from reranker.types import EncodedQuery, Floats

_MOST_LABELS = 3
_LEAST_SHARE = 0.1
"""The least probability of a class that is named."""


class TextSpace(Protocol):
    """What placing pictures among texts needs of a model; reranker.model.Model is one."""

    @property
    def version(self) -> str:
        """Version of the model."""

    @property
    def text_space(self) -> str:
        """Name of the space of its vectors."""

    @property
    def dimension(self) -> int:
        """Components of a text's vector."""

    def encode_query(self, text: str) -> EncodedQuery:
        """Encode one text."""


@dataclass(frozen=True, slots=True)
class PictureQuery:
    """A picture that is searched for.

    `vector` is compared with products' pictures, `words` with their texts, None where nothing leads there.
    `scale` says what their cosines mean. `labels` are the classes that the tower takes it for.
    """

    vector: Floats  # (d,)
    words: Floats | None  # (t,)
    scale: PictureScale
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SearchedPicture:
    """A picture that is searched for, and how it counts: whether products' pictures can be compared with it
    in the index that is searched, and the setting `pictures.weight`.
    """

    query: PictureQuery
    is_comparable: bool
    weight: float


class PictureSearchTower:
    """Encodes pictures that are searched for. Thread-safe; share one among all requests of a process."""

    def __init__(
        self,
        encoder: PictureEncoder,
        projections: dict[str, PictureProjection],
        settings: PictureSettings,
    ) -> None:
        self._encoder, self._projections, self._settings = encoder, projections, settings

    @property
    def version(self) -> str:
        """The version of the tower, as indexes record it."""
        return self._encoder.version

    @property
    def weight(self) -> float:
        """How much a picture moves the log-odds of products."""
        return self._settings.weight

    def encode(self, text: str, model: str) -> PictureQuery:
        """Encode a picture in base64, for products of the model of this version. Raises BadRequest."""
        data = decode_base64(text, "ext.attune.image")
        try:
            pixels = read_picture(data, self._encoder.config.size, self._settings)
        except BadPicture as error:
            raise BadRequest(f"ext.attune.image: {error}") from error
        [picture] = self._encoder.encode([pixels])
        projection = self._projections.get(model)
        labels = self._label(picture.classes)
        if projection is None:
            return PictureQuery(picture.vector, None, self._make_scale(0.0), labels)
        scale = self._make_scale(projection.slope)
        return PictureQuery(picture.vector, projection.place(picture), scale, labels)

    def _make_scale(self, words_slope: float) -> PictureScale:
        config = self._encoder.config
        return PictureScale(config.slope, config.typical, words_slope)

    def _label(self, classes: Floats | None) -> tuple[str, ...]:
        names = self._encoder.class_names
        if classes is None or not names:
            return ()
        best = classes.argsort()[::-1][:_MOST_LABELS]
        return tuple(names[i] for i in best if classes[i] >= _LEAST_SHARE)


def open_picture_tower(settings: PictureSettings, models: Sequence[TextSpace]) -> PictureSearchTower | None:
    """Return the tower where searches by picture are turned on, else None.

    Takes about 2 s a model. Raises SettingsError where Pillow is not installed, and ModelError.
    """
    if not settings.search:
        return None
    if find_spec("PIL") is None:
        raise SettingsError("pictures.search needs Pillow: pip install 'attune[pictures]'")
    encoder = load_picture_encoder(Path(settings.folder) if settings.folder else None)
    projections = {
        model.version: open_projection(encoder, model.encode_query, model.text_space, model.dimension)
        for model in models
    }
    return PictureSearchTower(encoder, projections, settings)

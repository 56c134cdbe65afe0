"""What attaching records in the mapping of a shop's index."""

from dataclasses import dataclass

from indexer.catalogue.field_map import FieldMap, field_map_from
from mappings.types import JsonObject


@dataclass(frozen=True, slots=True)
class AttachedPictures:
    """The pictures of an attached index: where they come from, and the tower that encodes them.

    `place` is a folder or `web`, as `--images` names it, `tower` the version of the picture tower, whose
    vectors have `dimension` components.
    """

    place: str
    tower: str
    dimension: int

    def as_json(self) -> JsonObject:
        """Return the record as the mapping's metadata holds it."""
        return {"place": self.place, "tower": self.tower, "dimension": self.dimension}


@dataclass(frozen=True, slots=True)
class Attachment:
    """What an attached index records: the model of its vectors, their type, and the field map.

    `vectors` is the setting `index.vectors`. `copied_from` is the index of the shop's that this one took the
    place of, empty where Attune was attached in place. `pictures` is None where none are encoded.
    """

    model: str
    dimension: int
    vectors: str
    field_map: FieldMap
    copied_from: str = ""
    pictures: AttachedPictures | None = None

    def as_json(self) -> JsonObject:
        """Return the attachment as the mapping's metadata holds it."""
        values: JsonObject = {
            "model": self.model,
            "dimension": self.dimension,
            "vectors": self.vectors,
            "fields": self.field_map.as_json(),
        }
        values |= {"copied_from": self.copied_from} if self.copied_from else {}
        return values | ({"images": self.pictures.as_json()} if self.pictures else {})


def parse_attachment(values: object, index: str) -> Attachment | None:
    """Return the attachment in the metadata of an index, None where there is none. Raises SettingsError."""
    if not isinstance(values, dict):
        return None
    return Attachment(
        model=str(values["model"]),
        dimension=int(values["dimension"]),
        vectors=str(values["vectors"]),
        field_map=field_map_from(values["fields"], f"the record of index {index}"),
        copied_from=str(values.get("copied_from", "")),
        pictures=_parse_pictures(values.get("images")),
    )


def _parse_pictures(values: object) -> AttachedPictures | None:
    if not isinstance(values, dict):
        return None
    return AttachedPictures(str(values["place"]), str(values["tower"]), int(values["dimension"]))

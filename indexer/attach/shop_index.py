"""The indexes of a shop behind a name, and what Attune adds to their mappings."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from opensearchpy import OpenSearch
from opensearchpy.exceptions import AuthorizationException, NotFoundError, TransportError

from indexer.attach.attachment import AttachedPictures, Attachment, parse_attachment
from indexer.attach.demanded_fields import end_copying, map_demanded_fields
from indexer.catalogue.field_map import FieldMap
from indexer.store.alias import META, PICTURES, VOCABULARY
from indexer.store.retry import RetryPolicy
from indexer.store.session import IndexSession
from mappings.client import attune_properties
from mappings.errors import IndexingError
from mappings.fields import ATTUNE
from mappings.types import JsonObject

INGEST_PREFIX = "attune-"
"""Beginning of the names of ingest pipelines that encode an index's documents as they are written."""

ATTACHED = "attached"
"""Key of an attachment in Attune's metadata: other indexes of Attune's have none."""


@dataclass(frozen=True, slots=True)
class ShopIndex:
    """An index of a shop with its settings and mappings, as OpenSearch returns them."""

    name: str
    settings: JsonObject
    mappings: JsonObject
    aliases: Mapping[str, JsonObject]

    @property
    def uuid(self) -> str:
        """The identity of the index: another index of the same name has another one."""
        return str(self.settings["uuid"])

    @property
    def allows_vectors(self) -> bool:
        """Whether vectors can be added to the index: `index.knn` is true, which is final."""
        return str(self.settings.get("knn", False)).lower() == "true"

    @property
    def attachment(self) -> Attachment | None:
        """What attaching recorded, None where the index is not attached. Raises SettingsError."""
        return parse_attachment(self.metadata.get(ATTACHED), self.name)

    @property
    def is_encoded_at_write_time(self) -> bool:
        """Whether a pipeline of Attune's gives documents their vectors as they are written."""
        return str(self.settings.get("final_pipeline", "")).startswith(INGEST_PREFIX)

    @property
    def vocabulary(self) -> str:
        """The vocabulary that was learnt from the index's products, empty where none was."""
        return str(self.metadata.get(VOCABULARY, ""))

    @property
    def is_own(self) -> bool:
        """Whether Attune made the index itself, from a catalogue."""
        return "alias" in self.metadata

    @property
    def metadata(self) -> JsonObject:
        """What Attune recorded in the index's mapping."""
        return _read_metadata(self.mappings)


def make_attachment(session: IndexSession, index: ShopIndex, field_map: FieldMap) -> Attachment:
    """Return the attachment of an index by the session's model, pictures and a field map."""
    encoder = session.encoders.current
    before = index.attachment
    pictures = before.pictures if before else None
    if session.pictures:
        tower = session.pictures
        pictures = AttachedPictures(tower.place, tower.version, tower.dimension)
    return Attachment(
        model=encoder.version,
        dimension=encoder.dimension,
        vectors=before.vectors if before else session.settings.vectors,
        field_map=field_map,
        copied_from=before.copied_from if before else "",
        pictures=pictures,
    )


def make_meta(index: ShopIndex, attachment: Attachment | None, vocabulary: str = "") -> JsonObject:
    """Return the `_meta` of an index's mapping with an attachment in place of the present one, or without.

    What was learnt of the index stays, unless another vocabulary is given, or its products were read by
    another field map.
    """
    others = {key: value for key, value in index.mappings.get("_meta", {}).items() if key != META}
    if attachment is None:
        return others
    before = index.attachment
    is_same = before is not None and before.field_map == attachment.field_map
    known = index.metadata if is_same else {}
    own: JsonObject = {VOCABULARY: vocabulary} if vocabulary else {}
    own |= {PICTURES: attachment.pictures.tower} if attachment.pictures else {}
    return others | {META: {**known, ATTACHED: attachment.as_json(), **own}}


def get_shop_indexes(session: IndexSession, name: str, wait: bool = False) -> list[ShopIndex]:
    """Return the indexes behind an index or alias, none where there is no such name.

    With `wait`, a missing name is looked up again, as one that is just moved to another index.
    """

    def ask() -> JsonObject:
        try:
            answer: JsonObject = session.client.indices.get(index=name)
        except NotFoundError as error:
            if wait:
                raise TransportError(503, f"there is no index or alias {name}", error.info) from error
            return {}
        return answer

    return read_shop_indexes(session.retry.call(f"looking up {name}", ask) if name else {})


def read_shop_indexes(answer: JsonObject) -> list[ShopIndex]:
    """Return the indexes in OpenSearch's answer to `GET /NAME`, sorted by name."""
    return [
        ShopIndex(name, body["settings"]["index"], body["mappings"], body.get("aliases", {}))
        for name, body in sorted(answer.items())
    ]


def find_shop_indexes(session: IndexSession, wait: bool = False) -> list[ShopIndex]:
    """Return the indexes behind the session's name, which is an index or an alias.

    `wait` is that of `get_shop_indexes`. Raises IndexingError where there is none, or where Attune made one
    of them from a catalogue.
    """
    name = session.alias
    indexes = get_shop_indexes(session, name, wait)
    if not indexes:
        raise IndexingError(f"there is no index or alias {name}: name the one that your searches use")
    for index in indexes:
        if index.is_own:
            raise IndexingError(
                f"Attune made index {index.name} from a catalogue: it has vectors, and `attune index` "
                "keeps it up to date"
            )
    return indexes


def read_attachment(client: OpenSearch, name: str) -> Attachment | None:
    """Return what attaching recorded in the first attached index behind a name, None where there is none."""
    try:
        answer = client.indices.get_mapping(index=name)
    except NotFoundError:
        return None
    for index, body in sorted(answer.items()):
        if attachment := parse_attachment(_read_metadata(body["mappings"]).get(ATTACHED), index):
            return attachment
    return None


def _read_metadata(mappings: JsonObject) -> JsonObject:
    """Return Attune's metadata in the mappings of an index, empty where it has none."""
    metadata = mappings.get("_meta", {}).get(META)
    return metadata if isinstance(metadata, dict) else {}


def check_attachable(index: ShopIndex) -> None:
    """Raise IndexingError where vectors can't be added without loss."""
    source = index.mappings.get("_source", {})
    ways_out = (
        "Reindex the shop's data into an index that keeps it whole, or make an index of Attune's from a "
        "catalogue: attune index FILE"
    )
    if source.get("enabled") is False:
        raise IndexingError(
            f"index {index.name} keeps no _source, so its documents can't be read or updated. {ways_out}"
        )
    if source.get("excludes") or source.get("includes"):
        raise IndexingError(
            f"index {index.name} leaves fields out of _source: an update would lose them. {ways_out}"
        )
    if ATTUNE in index.mappings.get("properties", {}) and not _has_attune_fields(index):
        raise IndexingError(
            f"index {index.name} has a field {ATTUNE} of its own: Attune needs that name for its vectors"
        )


def _has_attune_fields(index: ShopIndex) -> bool:
    properties = index.mappings["properties"][ATTUNE].get("properties", {})
    return bool(properties.get("vector", {}).get("type") == "knn_vector")


def check_knn(client: OpenSearch, retry: RetryPolicy) -> None:
    """Raise IndexingError where the cluster has no k-NN plugin. A user who may not ask gets no error here."""

    def ask() -> list[str]:
        try:
            return [str(row.get("component")) for row in client.cat.plugins(params={"format": "json"})]
        except AuthorizationException:
            return ["opensearch-knn"]

    if "opensearch-knn" not in retry.call("looking up the cluster's plugins", ask):
        version = retry.call("asking the cluster's version", client.info)["version"]["number"]
        raise IndexingError(
            f"this cluster (OpenSearch {version}) has no k-NN plugin, which vectors need: install "
            f"opensearch-knn {version} on every node"
        )


def make_properties(session: IndexSession, index: ShopIndex, attachment: Attachment) -> JsonObject:
    """Return the properties that the mapping of a shop's index gains, and those of its own that change.

    Raises IndexingError where an earlier field map left a field that does not fit this one.
    """
    demanded = map_demanded_fields(index.mappings, attachment.field_map)
    pictures = attachment.pictures.dimension if attachment.pictures else 0
    settings = replace(session.settings, vectors="byte" if attachment.vectors == "byte" else "float")
    own = attune_properties(attachment.dimension, settings, pictures) | demanded.own
    return {**demanded.shops, ATTUNE: {"dynamic": False, "properties": own}}


def put_attune_fields(session: IndexSession, index: ShopIndex, attachment: Attachment) -> None:
    """Add Attune's fields and the record of the attachment to an index's mapping."""
    if not index.allows_vectors:
        raise IndexingError(
            f"index {index.name} was made without index.knn, which can't be changed: "
            f"`attune attach {session.alias}` replaces it by a copy that has it"
        )
    present = index.mappings.get("properties", {}).get(ATTUNE, {}).get("properties", {})
    if present:
        _check_dimension(index, present.get("vector"), attachment.dimension, f"model {attachment.model}")
    if attachment.pictures and "picture" in present:
        tower = f"picture tower {attachment.pictures.tower}"
        _check_dimension(index, present["picture"], attachment.pictures.dimension, tower)
    properties = make_properties(session, index, attachment)
    own = properties.pop(ATTUNE)
    missing = {
        name: field
        for name, field in own["properties"].items()
        if name not in present or (field["type"] == "alias" and field != present[name])
    }
    if missing:
        properties[ATTUNE] = {**own, "properties": missing}
    if not properties and attachment == index.attachment:
        return
    body = {"_meta": make_meta(index, attachment), "properties": properties}
    session.retry.call(
        f"adding Attune's fields to {index.name}",
        lambda: session.client.indices.put_mapping(index=index.name, body=body),
    )


def _check_dimension(index: ShopIndex, field: JsonObject | None, dimension: int, encoder: str) -> None:
    present = (field or {}).get("dimension")
    if present != dimension:
        raise IndexingError(
            f"index {index.name} has vectors of {present} components, and {encoder} makes {dimension}: a "
            "field's dimension can't be changed. Attach with one of that dimension, or reindex into a new "
            "index without `attune` fields"
        )


def put_metadata(
    session: IndexSession, index: ShopIndex, attachment: Attachment | None, vocabulary: str = ""
) -> None:
    """Record an attachment, and a vocabulary if one is given, in an index's mapping.

    Without an attachment, take both out, and let the shop's own fields be as they were.
    """
    body: JsonObject = {"_meta": make_meta(index, attachment, vocabulary)}
    if attachment is None:
        body["properties"] = end_copying(index.mappings)
    session.retry.call(
        f"writing the metadata of {index.name}",
        lambda: session.client.indices.put_mapping(index=index.name, body=body),
    )

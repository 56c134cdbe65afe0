"""Connecting to OpenSearch, and the index template that Attune writes with."""

import copy
import json
from collections.abc import Mapping
from importlib import resources

from opensearchpy import OpenSearch
from opensearchpy.exceptions import ConnectionError as NoConnection
from opensearchpy.exceptions import SerializationError, SSLError, TransportError

from mappings.errors import ClusterDown
from mappings.settings import IndexSettings, OpenSearchSettings
from mappings.types import JsonObject

_EVERYWHERE = ("key", "vector", "tokens", "facts", "model", "hash")
"""The fields under `attune` that a shop's own index gets too; the others only indexes made by Attune have."""


def connect(settings: OpenSearchSettings, pool: int = 16) -> OpenSearch:
    """Return a client for the configured cluster; nothing is sent yet. `pool` is connections kept open."""
    return OpenSearch(
        settings.url,
        http_auth=(settings.user, settings.password) if settings.user else None,
        verify_certs=settings.verify_certificates,
        ssl_show_warn=False,
        ca_certs=settings.ca_file or None,
        client_cert=settings.client_certificate or None,
        client_key=settings.client_key or None,
        timeout=settings.timeout_seconds,
        pool_maxsize=pool,
        max_retries=0,
        http_compress=False,
    )


def check_cluster(client: OpenSearch, settings: OpenSearchSettings) -> str:
    """Return the cluster's version number. Raises ClusterDown when it does not answer as OpenSearch does."""
    try:
        return str(client.info()["version"]["number"])
    except SSLError as error:
        raise ClusterDown(
            f"no trusted TLS connection to {settings.url}: {_innermost(error)}; set opensearch.ca_file to "
            "the authority of its certificate, or opensearch.url to http:// where it speaks no TLS"
        ) from error
    except NoConnection as error:
        raise ClusterDown(
            f"OpenSearch does not answer at {settings.url}: start one with `attune up`, "
            "or set opensearch.url (ATTUNE_OPENSEARCH_URL)"
        ) from error
    except TransportError as error:
        hint = ": set opensearch.user and opensearch.password" if error.status_code in (401, 403) else ""
        raise ClusterDown(
            f"OpenSearch at {settings.url} refused the request: {error.status_code} {error.error}{hint}"
        ) from error
    except (SerializationError, KeyError, TypeError) as error:
        raise ClusterDown(
            f"another program than OpenSearch answers at {settings.url}: set opensearch.url "
            "(ATTUNE_OPENSEARCH_URL)"
        ) from error


def _innermost(error: SSLError) -> str:
    """Return the message of the error that TLS itself raised."""
    return str(error.info).rpartition("Caused by ")[2][:200]


def index_body(
    dimension: int,
    settings: IndexSettings,
    picture_dimension: int = 0,
    same_characters: Mapping[int, str] | None = None,
) -> JsonObject:
    """Settings and mappings of a new index whose product vectors have `dimension` components.

    `picture_dimension` is the number of components of a picture's vector, 0 for an index without pictures.
    `same_characters` are characters that are searched as others, by their code points: Traditional Chinese
    as Simplified.

    Text is analysed so that "phones" finds "phone", and model numbers and measures are found however they are
    spaced: "TN2110", "tn 2110" and "TN-2110", or "3.5mm" and "3.5 mm", find each other. Han and kana
    are indexed as pairs of characters.
    """
    body = _load_template()
    body["settings"]["index"]["number_of_shards"] = settings.shards
    body["settings"]["index"]["number_of_replicas"] = settings.replicas
    # A source without its vectors is smaller by a third, but on 3.x every search that returns it can fail for
    # good after a reindex, a scroll or a merge (opensearch-project/OpenSearch#20622).
    body["settings"]["index"]["knn.derived_source.enabled"] = False
    if same_characters:
        _map_characters(body["settings"]["analysis"], same_characters)
    own = attune_properties(dimension, settings, picture_dimension)
    body["mappings"]["properties"]["attune"]["properties"] |= own
    return body


def _map_characters(analysis: JsonObject, same: Mapping[int, str]) -> None:
    """Let all analyzers read characters as others; highlights show the text as it is."""
    mapped = [f"{chr(one)}=>{other}" for one, other in same.items()]
    analysis["char_filter"]["attune_characters"] = {"type": "mapping", "mappings": mapped}
    for analyzer in analysis["analyzer"].values():
        analyzer["char_filter"] = ["attune_characters", *analyzer["char_filter"]]


def attune_properties(dimension: int, settings: IndexSettings, picture_dimension: int = 0) -> JsonObject:
    """Return the mappings of the fields under `attune` that a search needs of every index.

    Product vectors have `dimension` components, those of pictures `picture_dimension`: 0 leaves them out.
    """
    own = _load_template()["mappings"]["properties"]["attune"]["properties"]
    vector = own["vector"]
    vector["dimension"] = dimension
    vector["data_type"] = settings.vectors
    vector["method"]["engine"] = settings.engine
    properties = {name: own[name] for name in _EVERYWHERE}
    if picture_dimension:
        properties["picture"] = copy.deepcopy(vector) | {"dimension": picture_dimension}
        properties["pictured"] = {"type": "keyword", "index": False, "doc_values": False}
    return properties


def _load_template() -> JsonObject:
    text = resources.files("mappings").joinpath("templates/products.json").read_text(encoding="utf-8")
    template: JsonObject = json.loads(text)
    return template

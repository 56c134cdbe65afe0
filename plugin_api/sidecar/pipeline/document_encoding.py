"""Encode a shop's documents for a cluster that asks for their vectors as they are written.

An ingest pipeline calls once for each document, with the document and with what attaching recorded of its
index. Nothing is requested from OpenSearch. A document that can't be encoded is stored without vectors, and
`attune follow` encodes it.
"""

from collections.abc import Mapping, Sequence

from indexer.attach.documents import ShopProducts
from indexer.catalogue.field_map import field_map_from
from indexer.store.encoder import ProductEncoder
from mappings.errors import BadRequest, ModelMismatch, SettingsError
from mappings.fields import ATTUNE
from mappings.types import JsonObject

INGEST_METADATA = frozenset(
    {"_index", "_id", "_routing", "_version", "_version_type", "_if_seq_no", "_if_primary_term"}
)
"""What an ingest pipeline's document holds beside the fields that are stored."""


class DocumentEncoder:
    """Encodes documents by the models of a sidecar. Thread-safe."""

    def __init__(self, models: Sequence[ProductEncoder]) -> None:
        self._models = {model.version: model for model in models}

    def encode(self, document: JsonObject, fields: JsonObject, model: str, vectors: str) -> JsonObject | None:
        """Return the value of `attune` for a document as an ingest pipeline has it.

        Return None where it has neither title nor description. `fields`, `model` and `vectors` are what
        attaching recorded. Raises BadRequest for a field map that is not one, ModelMismatch where the model
        is not loaded, and ModelError.
        """
        try:
            products = ShopProducts(field_map_from(fields, "fields"))
        except SettingsError as error:
            raise BadRequest(str(error)) from error
        if model not in self._models:
            raise ModelMismatch(f"model {model} is not loaded; there are: {', '.join(self._models)}")
        encoder = self._models[model]
        document_id = str(document.get("_id") or "")
        source = {name: value for name, value in document.items() if name not in INGEST_METADATA}
        product = products.read(document_id, source)
        if product is None:
            return None
        own = source.get(ATTUNE)
        if isinstance(own, Mapping) and products.is_current(dict(own), product, model):
            return dict(own)
        (encoded,) = encoder.encode_products([product])
        return products.make_values(product, encoded, model, vectors)

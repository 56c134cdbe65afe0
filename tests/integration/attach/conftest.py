"""A shop's own index for each test, and the jobs on it."""

import base64
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pytest
from opensearchpy import OpenSearch

from indexer.attach.job import DetachReport, FollowJob, attach_index, detach_index, follow_index
from indexer.attach.sample import guess_shop_map, read_sample
from indexer.attach.shop_index import find_shop_indexes
from indexer.attach.updater import AttachReport
from indexer.catalogue.field_map import FieldMap
from indexer.store.retry import RetryPolicy
from indexer.store.session import IndexSession, OneEncoder
from mappings.product_key import ProductKey
from mappings.settings import IndexSettings
from mappings.types import JsonObject
from reranker.understanding.vocabulary import CatalogueVocabulary, read_vocabulary
from tests.fakes.fake_encoder import FakeEncoder

MAPPINGS: JsonObject = {
    "dynamic": "strict",
    "_meta": {"owner": "the shop"},
    "properties": {
        "name": {"type": "text"},
        "stock": {"type": "integer"},
        "offers": {"type": "nested", "properties": {"price": {"type": "double"}}},
        "image": {
            "type": "knn_vector",
            "dimension": 2,
            "method": {"name": "hnsw", "engine": "lucene", "space_type": "l2"},
        },
    },
}


@dataclass
class AttachedShop:
    """An index of a shop's with twenty mugs, and Attune's jobs on it by a small encoder."""

    client: OpenSearch
    name: str
    encoder: FakeEncoder = field(default_factory=FakeEncoder)

    @property
    def session(self) -> IndexSession:
        settings, retry = IndexSettings(batch=4), RetryPolicy(60)
        return IndexSession(self.client, self.name, OneEncoder(self.encoder), settings, retry)

    def create(self, index: str, shards: int = 2, knn: bool = True, **settings: object) -> None:
        body = {"number_of_shards": shards, "number_of_replicas": 0, **({"knn": True} if knn else {})}
        mappings = MAPPINGS if knn else {**MAPPINGS, "properties": _without_image()}
        self.client.indices.create(
            index=index, body={"settings": {"index": {**body, **settings}}, "mappings": mappings}
        )

    def put(self, number: int | str, name: str = "", index: str = "", **more: object) -> None:
        """Write a document as the shop's indexer does: all of it."""
        document = {"name": name or f"Mug {number}", "stock": 1, "offers": [{"price": 10.0}], **more}
        self.client.index(index=index or self.name, id=str(number), body=document)

    def update(self, number: int, **change: object) -> None:
        self.client.update(index=self.name, id=str(number), body={"doc": change})

    def attach(self, field_map: FieldMap | None = None) -> AttachReport:
        session = self.session
        guessed = field_map or guess_shop_map(read_sample(session, find_shop_indexes(session)))
        return attach_index(session, guessed)

    def follow(self, full: bool = False) -> AttachReport:
        return follow_index(self.session, FollowJob(once=True, full=full), threading.Event())

    @contextmanager
    def following(self) -> Iterator[threading.Event]:
        """Follow the index while the block runs. Yields an event that the first look with changes sets."""
        stop, changed = threading.Event(), threading.Event()
        job = FollowJob(every=0.05)
        arguments = (self.session, job, stop, lambda _: changed.set())
        thread = threading.Thread(target=follow_index, args=arguments)
        thread.start()
        try:
            yield changed
        finally:
            stop.set()
            thread.join()

    def detach(self) -> DetachReport:
        return detach_index(self.session)

    def vocabulary(self) -> CatalogueVocabulary:
        (index,) = find_shop_indexes(self.session)
        return read_vocabulary(index.vocabulary)

    def documents(self) -> dict[str, JsonObject]:
        self.client.indices.refresh(index=self.name)
        hits = self.client.search(index=self.name, body={"size": 1000})["hits"]["hits"]
        return {hit["_id"]: hit["_source"] for hit in hits}

    def shop_fields(self) -> dict[str, JsonObject]:
        """The documents without what Attune added."""
        return {
            key: {name: value for name, value in source.items() if name != "attune"}
            for key, source in self.documents().items()
        }

    def check_in_step(self) -> None:
        """Check that every document has the vectors of its name, and of nothing else."""
        for key, source in self.documents().items():
            assert source["attune"]["vector"] == self.encoder.vector_of(source["name"]), (key, source["name"])
            own = ProductKey.unpack(base64.b64decode(source["attune"]["key"]))
            assert own is not None
            assert own.id == key

    def with_encoder(self, encoder: FakeEncoder) -> "AttachedShop":
        return replace(self, encoder=encoder)


def _without_image() -> JsonObject:
    properties: JsonObject = MAPPINGS["properties"]
    return {name: value for name, value in properties.items() if name != "image"}


@pytest.fixture
def empty_shop(client: OpenSearch) -> Iterator[AttachedShop]:
    name = f"own-{uuid.uuid4().hex[:8]}"
    yield AttachedShop(client, name)
    client.indices.delete(index=f"{name}*", params={"expand_wildcards": "all"})


@pytest.fixture
def own_shop(empty_shop: AttachedShop) -> AttachedShop:
    empty_shop.create(empty_shop.name)
    for number in range(20):
        empty_shop.put(number)
    return empty_shop

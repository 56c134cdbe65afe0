"""The session of a job: what all of its steps share."""

from collections.abc import Callable
from dataclasses import dataclass, field

from opensearchpy import OpenSearch

from indexer.store.alias import AliasIndexes
from indexer.store.encoder import EncodedPictures, ProductEncoder, ProductEncoders
from indexer.store.jobs_index import JobsIndex, open_jobs_index
from indexer.store.retry import RetryPolicy
from mappings.errors import ModelMismatch
from mappings.settings import IndexSettings


@dataclass(frozen=True, slots=True)
class OneEncoder:
    """A single model as `ProductEncoders`."""

    current: ProductEncoder

    def find(self, version: str) -> ProductEncoder:
        """Return the model. Raises ModelMismatch where its version is another one."""
        if version != self.current.version:
            raise ModelMismatch(
                f"the index was made with model {version}, this one is {self.current.version}"
            )
        return self.current


@dataclass(frozen=True, slots=True)
class IndexSession:
    """One alias, the cluster it is on, the models, the settings, and how the job retries and reports.

    `pictures` is None where products are indexed without pictures.

    `on_progress` receives how many records are done and the share of all work that is, 0..1.
    """

    client: OpenSearch
    alias: str
    encoders: ProductEncoders
    settings: IndexSettings = field(default_factory=IndexSettings)
    retry: RetryPolicy = field(default_factory=lambda: RetryPolicy(IndexSettings().retry_seconds))
    on_progress: Callable[[int, float], None] = lambda _, __: None
    pictures: EncodedPictures | None = None

    @property
    def indexes(self) -> AliasIndexes:
        """The indexes behind the alias."""
        return AliasIndexes(self.client, self.alias, self.retry)

    def open_jobs(self) -> JobsIndex:
        """Return the index of locks and tombstones, and create it where it is missing."""
        return open_jobs_index(self.client, self.retry)

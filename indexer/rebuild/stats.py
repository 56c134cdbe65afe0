"""The counts of one rebuild."""

import random
from dataclasses import dataclass, field

from indexer.catalogue.records import Reject
from indexer.rebuild.loading import LoadedBatch
from indexer.sources.rejects import RejectFile

_SAMPLES = 100
"""Products whose documents are checked one by one before the alias moves."""


@dataclass(slots=True)
class RebuildStats:
    """What was indexed and encoded, with sampled ids and content hashes for the sanity checks.

    `newer` are products that the index has from a later change, `highest` the highest version that a product
    brought. `seconds` is the time of reading, encoding and writing together, `encoding_seconds` that part of
    it in which the encoder was at work.
    """

    indexed: int = 0
    encoded: int = 0
    newer: int = 0
    highest: int = 0
    seconds: float = 0.0
    encoding_seconds: float = 0.0
    batches: int = 0
    samples: dict[str, str] = field(default_factory=dict)

    def add(self, loaded: LoadedBatch, rejects: RejectFile) -> None:
        """Count a batch, and write its rejects."""
        for reject in loaded.batch.rejects:
            rejects.write(reject)
        refused = {result.id: result.refusal for result in loaded.results if result.refusal}
        for item in loaded.batch.items:
            if item.product.id in refused:
                reason = f"OpenSearch refused the document: {refused[item.product.id]}"
                rejects.write(Reject(item.line, reason, item.raw, "document"))
        # A run before this one copied a later delete.
        deleted = {result.id for result in loaded.results if result.stale}
        self.indexed += len(loaded.batch.items) - len(refused) - len(deleted)
        self.encoded += loaded.encoded
        self.encoding_seconds += loaded.encoding_seconds
        self.highest = max([self.highest, *(item.version or 0 for item in loaded.batch.items)])
        if loaded.sample and loaded.sample[0] not in refused.keys() | deleted:
            self._sample(*loaded.sample)

    def _sample(self, product_id: str, content: str) -> None:
        """Keep some products of all batches, each with the same probability (reservoir sampling)."""
        self.batches += 1
        if len(self.samples) >= _SAMPLES:
            if random.randrange(self.batches) >= _SAMPLES:
                return
            self.samples.pop(random.choice(list(self.samples)))
        self.samples[product_id] = content

"""What a rebuild counts on its way, and the sample that its verification looks at."""

import random
from dataclasses import dataclass, field

from indexer.catalogue.records import Reject
from indexer.rebuild.loading import Loaded
from indexer.sources.rejects import RejectFile

SAMPLES = 100


@dataclass(slots=True)
class Tally:
    """What became of a catalogue's products so far.

    `newer` are in the index as a change left them; `highest` is the highest version that a product brought.
    """

    indexed: int = 0
    encoded: int = 0
    newer: int = 0
    highest: int = 0
    seconds: float = 0.0
    encoding_seconds: float = 0.0
    batches: int = 0
    samples: dict[str, str] = field(default_factory=dict)

    def sample(self, product_id: str, content: str) -> None:
        """Keep some products of all batches, each as likely as any other (reservoir sampling)."""
        self.batches += 1
        if len(self.samples) >= SAMPLES:
            if random.randrange(self.batches) >= SAMPLES:
                return
            self.samples.pop(random.choice(list(self.samples)))
        self.samples[product_id] = content

    def note(self, loaded: Loaded, rejects: RejectFile) -> None:
        """Count a batch, and write down what is not in the index."""
        for reject in loaded.batch.rejects:
            rejects.write(reject)
        refused = {of.id: of.refusal for of in loaded.written if of.refusal}
        for item in loaded.batch.items:
            if item.product.id in refused:
                reason = f"OpenSearch refused the document: {refused[item.product.id]}"
                rejects.write(Reject(item.line, reason, item.raw, "document"))
        deleted = {of.id for of in loaded.written if of.stale}  # since, as the run before brought along
        self.indexed += len(loaded.batch.items) - len(refused) - len(deleted)
        self.encoded += loaded.encoded
        self.encoding_seconds += loaded.encoding_seconds
        self.highest = max([self.highest, *(item.version or 0 for item in loaded.batch.items)])
        if loaded.sample and loaded.sample[0] not in refused.keys() | deleted:
            self.sample(*loaded.sample)

"""What the measurements share: products, queries, facts of the machine."""

from tests.bench.inputs.catalogue import JUDGEMENTS, products, queries
from tests.bench.inputs.measurement import machine, middle, percentiles

__all__ = ["JUDGEMENTS", "machine", "middle", "percentiles", "products", "queries"]

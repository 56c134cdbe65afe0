"""What a query demands, and which of it one product satisfies or contradicts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mappings.types import Product
from plugin_api.search.query.types import TextSearch
from plugin_api.search.ranking import list_parts
from reranker.log_odds import compute_log_odds, compute_probabilities
from reranker.understanding.facts import pack_facts
from reranker.understanding.matching import CLOSE, CONTRADICTION, MATCH, Outcome

_RECORD_BYTES = 8


@dataclass(frozen=True, slots=True)
class ExplainedDemand:
    """One demand: the part of the text that says it, what the product's facts say, by how much that counts.

    `outcome` is satisfied, near, contradicted or unknown.
    """

    kind: str
    text: str
    outcome: str
    log_odds: float


_LEAST_CONTRADICTION = 0.5
"""From which share on a demand is called contradicted: a notebook is nearly a laptop."""


@dataclass(frozen=True, slots=True)
class ExplainedDemands:
    """The demands, and a hit's log-odds in their light.

    `other_facts` is true where the index has facts that the product's text, as the caller sees it, does not
    tell.
    """

    log_odds: float
    demands: Sequence[ExplainedDemand] = ()
    other_facts: bool = False


def explain_demands(
    read: TextSearch | None, product: Product, stored: bytes, log_odds: float, missed: float
) -> ExplainedDemands:
    """Return what a hit's facts say of a text's demands, and its log-odds in their light.

    `missed` are log-odds that it lost for not having the text's words. Says nothing that is not in
    `product`'s own text: its `stored` facts are compared only where they hold nothing else. A product of an
    index without facts is ranked without demands.
    """
    if read is None or read.understanding is None or read.interpreter is None or not read.demands:
        return ExplainedDemands(log_odds)
    other_facts = False
    if stored:
        own = pack_facts(product)
        other_facts = not _list_records(stored) <= _list_records(own)
        stored = own if other_facts else stored
    likely = compute_probabilities([log_odds]).tolist()
    adjusted = read.interpreter.adjust(read.understanding, [stored], [product.price], likely, [missed])
    demands = [
        ExplainedDemand(part.kind, part.text, _name_outcome(outcome) if stored else "unknown", float(moved))
        for part, outcome, moved in zip(list_parts(read), adjusted.outcomes, adjusted.moved[0], strict=True)
    ]
    return ExplainedDemands(float(compute_log_odds(adjusted.scores)[0]), demands, other_facts)


def _list_records(facts: bytes) -> set[bytes]:
    return {facts[i : i + _RECORD_BYTES] for i in range(0, len(facts), _RECORD_BYTES)}


def _name_outcome(outcome: Outcome) -> str:
    """Return what one product's facts say of a demand, by (1, 3) match, near and contradiction."""
    names = {MATCH: "satisfied", CLOSE: "near", CONTRADICTION: "contradicted"}
    best = int(np.argmax(outcome[0]))
    if best == CONTRADICTION and outcome[0, best] < _LEAST_CONTRADICTION:
        return names[CLOSE]
    return names[best] if outcome[0, best] > 0 else "unknown"

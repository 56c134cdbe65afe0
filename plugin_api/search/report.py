"""The report on reranking that every answer to a search carries."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from plugin_api.opensearch.client import Headers
from plugin_api.search.query.types import TextSearch
from plugin_api.search.reasons import Reason, RerankStatus
from plugin_api.shoppers.experiments.tag import Variant

STATUS_HEADER = "x-attune-rerank-status"
REASON_CODE_HEADER = "x-attune-rerank-reason-code"
REASON_HEADER = "x-attune-rerank-reason"

_MAX_REASON_BYTES = 300


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Milliseconds spent encoding the query, gathering candidates, scoring them and fetching the page."""

    encode: float = 0.0
    search: float = 0.0
    score: float = 0.0
    fetch: float = 0.0


@dataclass(frozen=True, slots=True)
class UnderstoodPart:
    """A part of the text and what it was understood as: one of `reranker.understanding.demands.KINDS`."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class ShownExperiment:
    """The experiment that a search takes part in, what it shows, and the `query_id` that its events bear."""

    name: str
    variant: Variant
    query_id: str


@dataclass(frozen=True, slots=True)
class RerankReport:
    """What `ext.attune` of an answer says.

    `reason_code` and `reason` say why the search was not reranked. `text` is what it was ranked by. `window`
    counts the candidates that were scored, `without_vectors` those that kept their keyword place because they
    have no vectors. `cached` is true where the ranking is an earlier search's, `rescued` where the text has
    no hits but those that the vectors add. `behaviour` maps ids of the page's hits to the log-odds that
    popularity and the shopper's history added, by feature; `picture` those that the search's picture added,
    and `labels` are the classes that it was taken for. `understood` is what the text demands of products.
    `corrected` is the text with its spelling corrected, which products are ranked by, and `original` as it
    came. `notice` is what the domain wants everybody to know of the answer.
    """

    rerank_status: RerankStatus
    model: str
    reason_code: Reason | None = None
    reason: str = ""
    text: str = ""
    window: int = 0
    took_ms: StageTimes = StageTimes()
    cached: bool = False
    rescued: bool = False
    without_vectors: int = 0
    behaviour: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    picture: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    understood: tuple[UnderstoodPart, ...] = ()
    corrected: str = ""
    original: str = ""
    experiment: ShownExperiment | None = None
    notice: str = ""

    def with_text(self, search: TextSearch) -> "RerankReport":
        """Return the report with the text that a search is ranked by."""
        understanding = search.understanding
        if understanding is None or not understanding.corrections:
            return replace(self, text=search.text)
        corrected, original = understanding.text, understanding.original
        return replace(self, text=search.text, corrected=corrected, original=original)

    @property
    def headers(self) -> Headers:
        """The status and the reason as HTTP headers, for answers whose body has no room for them."""
        status = (STATUS_HEADER, self.rerank_status.value)
        if self.reason_code is None:
            return (status,)
        ascii_text = self.reason.encode("ascii", "replace").decode()[:_MAX_REASON_BYTES]
        printable = "".join(letter if letter.isprintable() else " " for letter in ascii_text)
        return status, (REASON_CODE_HEADER, self.reason_code.value), (REASON_HEADER, printable)

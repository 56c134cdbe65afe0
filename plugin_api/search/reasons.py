"""The reasons for which a search is not reranked: a code, a status and a sentence for each."""

from dataclasses import dataclass
from enum import Enum, StrEnum

from mappings.errors import AttuneError

_MAX_SENTENCE = 1000
"""Characters of a sentence: it may quote an error of any length, and some are remembered."""


class RerankStatus(StrEnum):
    """The outcome of reranking, as `ext.attune.rerank_status` names it."""

    RERANKED = "reranked"
    SKIPPED = "skipped"
    FAILED = "failed"
    TIMEOUT = "timeout"
    MISMATCH = "model_mismatch"
    SHED = "shed"


class Reason(Enum):
    """Why a search was not reranked. The value is its code in `ext.attune.reason_code` and in the metrics.

    A reason has a status and a sentence with placeholders. `is_fault` tells whether it counts as a failure of
    the index or the model, so that the circuit breaker opens after several in a row.
    """

    status: RerankStatus
    sentence: str
    is_fault: bool

    def __new__(cls, code: str, status: RerankStatus, sentence: str, is_fault: bool = False) -> "Reason":
        """Make a member of the four parts that it is defined by."""
        reason = object.__new__(cls)
        reason._value_ = code
        reason.status, reason.sentence, reason.is_fault = status, sentence, is_fault
        return reason

    # The caller wants something that reranking can't give.
    NOT_REQUESTED = "not_requested", RerankStatus.SKIPPED, "reranking was not requested"
    NO_HITS_REQUESTED = "no_hits_requested", RerankStatus.SKIPPED, "no hits were requested"
    OWN_ORDER = "own_order", RerankStatus.SKIPPED, "a search with its own {key} is not reranked"
    SCROLL = "scroll", RerankStatus.SKIPPED, "a scroll reads all hits in an order of its own"
    POINT_IN_TIME = "point_in_time", RerankStatus.SKIPPED, "a point in time keeps its own order"
    FILTER_PATH = "filter_path", RerankStatus.SKIPPED, "filter_path leaves out what reranking needs"
    OTHER_FORMAT = "other_format", RerankStatus.SKIPPED, "only searches answered in JSON are reranked"
    COUNT = "count", RerankStatus.SKIPPED, "a count has no order"
    HITS_WITHOUT_ID = (
        "hits_without_id",
        RerankStatus.SKIPPED,
        "hits without an id can't be put in another order",
    )
    UNSUPPORTED_HEADER = (
        "unsupported_header", RerankStatus.SKIPPED, "a search with the header {name} is not reranked",
    )  # fmt: skip

    ORDER_KEPT = (
        "order_kept", RerankStatus.SKIPPED,
        "queries of the kind {kind} keep OpenSearch's order here (search.keep_order, attune tune)",
    )  # fmt: skip

    # The search can't be read, or has no text.
    NO_TEXT = "no_text", RerankStatus.SKIPPED, "the query has no text to rerank by{types}"
    UNSUPPORTED_QUERY = "unsupported_query", RerankStatus.SKIPPED, "a query of type {type} is not reranked"
    MALFORMED_QUERY = "malformed_query", RerankStatus.SKIPPED, "the query is malformed: {problem}"
    NESTED_TOO_DEEP = (
        "nested_too_deep", RerankStatus.SKIPPED, "a query nested more than {levels} deep is not reranked",
    )  # fmt: skip
    INVALID_PAGE = "invalid_page", RerankStatus.SKIPPED, "from or size is not a whole number of 0 or more"
    NOT_JSON = "not_json", RerankStatus.SKIPPED, "the body is not JSON"
    UNREADABLE_BODY = (
        "unreadable_body",
        RerankStatus.SKIPPED,
        "the body is not a readable JSON object",
    )
    BODY_TOO_LARGE = "body_too_large", RerankStatus.SKIPPED, "the body can't be read, or is too large"
    UNREADABLE_LIST = (
        "unreadable_list", RerankStatus.SKIPPED, "a list of searches is reranked only where it can be read",
    )  # fmt: skip
    LIST_TOO_LONG = (
        "list_too_long", RerankStatus.SKIPPED, "a list of more than {limit} searches is not reranked",
    )  # fmt: skip
    TEMPLATE_NOT_RENDERED = "template_not_rendered", RerankStatus.SKIPPED, "{problem}"
    UNKNOWN_WORDS = (
        "unknown_words", RerankStatus.SKIPPED,
        "model {model} doesn't know {share} of the query: "
        "a model for its language is made by `attune train --query-encoder`",
    )  # fmt: skip

    # The sidecar has no time or no room.
    BUSY = (
        "busy", RerankStatus.SHED, "{limit} searches are being reranked (sidecar.max_concurrent_reranks)",
    )  # fmt: skip
    DEADLINE = "deadline", RerankStatus.TIMEOUT, "{stage} passed the deadline of {milliseconds} ms"
    OPENSEARCH_LATE = (
        "opensearch_late", RerankStatus.TIMEOUT,
        "OpenSearch did not answer within the deadline of {milliseconds} ms",
        True,
    )  # fmt: skip
    CIRCUIT_OPEN = (
        "circuit_open", RerankStatus.SKIPPED,
        "reranking failed {failures} times in a row, the last time because {last}",
    )  # fmt: skip

    # The index, the model or OpenSearch fails.
    MODEL_MISMATCH = (
        "model_mismatch", RerankStatus.MISMATCH,
        "index {index} was made with model {made_with}, not {model}: "
        "index the catalogue again, or set model.folder to that model",
        True,
    )  # fmt: skip
    NOT_INDEXED = (
        "not_indexed", RerankStatus.FAILED,
        "no hit has vectors: `attune index` or `attune attach` make them",
        True,
    )  # fmt: skip
    NO_PICTURES = (
        "no_pictures", RerankStatus.FAILED,
        "the index has no pictures of this tower, and nothing leads from pictures to texts: "
        "`attune index --images` encodes them",
    )  # fmt: skip
    KNN_FAILED = "knn_failed", RerankStatus.FAILED, "the k-NN search failed: {error}", True
    SEARCH_REFUSED = "search_refused", RerankStatus.FAILED, "OpenSearch refused the search: {error}"
    OPENSEARCH_ERROR = "opensearch_error", RerankStatus.FAILED, "OpenSearch answered {status}: {error}", True
    OPENSEARCH_DOWN = "opensearch_down", RerankStatus.FAILED, "{error}", True
    MODEL_ERROR = "model_error", RerankStatus.FAILED, "{error}", True
    INTERNAL_ERROR = "internal_error", RerankStatus.FAILED, "reranking failed: {error}", True

    def because(self, **details: object) -> "Cause":
        """Return the cause that this reason makes with its sentence's placeholders filled in."""
        return Cause(self, self.sentence.format(**details)[:_MAX_SENTENCE])


@dataclass(frozen=True, slots=True)
class Cause:
    """Why one search was not reranked: the reason, and its sentence with the details of that search."""

    reason: Reason
    sentence: str


class NotReranked(AttuneError):
    """A search keeps the hits and the order that OpenSearch gave it."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(cause.sentence)
        self.cause = cause

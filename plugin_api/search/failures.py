"""Why a search was not reranked, from what failed."""

import logging

from mappings.errors import ClusterDown, ModelError
from plugin_api.search.deadline import Deadline
from plugin_api.search.reasons import Cause, Reason
from plugin_api.search.retrieval.caller_client import OpenSearchLate, SearchRefused

_log = logging.getLogger("attune")


def find_cause(error: Exception, deadline: Deadline) -> Cause:
    """Return why a search was not reranked, from what failed."""
    match error:
        case SearchRefused() if error.status == 429 or error.status >= 500:
            return Reason.OPENSEARCH_ERROR.because(status=error.status, error=error.error)
        case SearchRefused():
            return Reason.SEARCH_REFUSED.because(error=error.error)
        case OpenSearchLate():
            return Reason.OPENSEARCH_LATE.because(milliseconds=round(deadline.seconds * 1000))
        case TimeoutError():
            return describe_delay("waiting for OpenSearch", deadline)
        case ClusterDown():
            return Reason.OPENSEARCH_DOWN.because(error=error)
        case ModelError():
            return Reason.MODEL_ERROR.because(error=error)
    # The message may quote the search: it is in the answer to the caller, not in the log.
    _log.warning("reranking failed: %s", type(error).__name__)
    return Reason.INTERNAL_ERROR.because(error=str(error) or type(error).__name__)


def describe_delay(stage: str, deadline: Deadline) -> Cause:
    """Return the cause of a search that had no time left at a stage."""
    return Reason.DEADLINE.because(stage=stage, milliseconds=round(deadline.seconds * 1000))

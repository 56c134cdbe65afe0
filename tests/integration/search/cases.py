"""All cases together, and the tests beside them that are rows of SEARCH.md too."""

from dataclasses import dataclass

from tests.integration.search.case import Outcome
from tests.integration.search.cases_of_answers import ANSWERS
from tests.integration.search.cases_of_calls import CALLS
from tests.integration.search.cases_of_queries import QUERIES

CASES = (*QUERIES, *ANSWERS, *CALLS)
CONDITIONS = tuple(case for case in QUERIES if case.reason.endswith(f", only {case.feature.strip('`')}"))
"""Those whose query is of one kind that has no text."""


@dataclass(frozen=True)
class Proof:
    """What a test of its own proves."""

    group: str
    feature: str
    outcome: str
    test: str


PROOFS = (
    Proof(
        "Which hits",
        "each query without a text, above, in `filter` or `must_not` beside a text",
        Outcome.WIDENED.value,
        "test_every_condition_binds_what_vectors_add",
    ),
    Proof(
        "What a hit shows",
        "`stored_fields: _none_`",
        Outcome.WIDENED.value,
        "test_hits_without_an_id_are_put_in_another_order",
    ),
    Proof(
        "How it is asked",
        "any of these together",
        "each keeps its meaning: thirty searches drawn by chance",
        "test_features_asked_for_together_keep_their_meaning",
    ),
    Proof(
        "Lists",
        "`_msearch`, `/{index}/_msearch`",
        "each search as it would be alone; whole answers and errors in the list's order",
        "test_each_search_of_a_list_keeps_its_meaning",
    ),
    Proof(
        "Lists",
        "`_msearch/template`",
        "each template as it would be alone",
        "test_each_template_of_a_list_keeps_its_meaning",
    ),
    Proof(
        "Lists",
        "`typed_keys`, `rest_total_hits_as_int`, `max_concurrent_searches` in a list's URL",
        "hold for each search",
        "test_parameters_in_the_url_hold_for_each_search_of_a_list",
    ),
    Proof(
        "Lists",
        "a list with a search that OpenSearch can't read",
        "OpenSearch's error, for the whole list",
        "test_for_one_unreadable_search_the_whole_list_is_refused",
    ),
    Proof(
        "Lists",
        "a list with URL parameters such as `filter_path`, or that is malformed",
        "as OpenSearch answers: a list of searches is reranked only where it can be read",
        "test_a_list_that_cannot_be_taken_apart_goes_on_as_it_came",
    ),
    Proof(
        "Order and pages",
        "pages of any sizes",
        "join without gap or repeat, across the window's end too; below it in OpenSearch's order",
        "test_pages_of_any_sizes_join_to_the_whole",
    ),
    Proof(
        "Order and pages",
        "a `scroll` to its end",
        Outcome.SORTED.value,
        "test_a_scroll_reads_every_hit_in_its_own_order",
    ),
    Proof(
        "Order and pages",
        "`search_after` in a point in time, to its end",
        Outcome.SORTED.value,
        "test_pages_after_a_point_in_time_join",
    ),
    Proof(
        "`ext.attune`",
        "an option that is none, or a model that is not loaded",
        "an error of status 400 in OpenSearch's shape, which names it",
        "test_options_that_are_none_are_refused_in_opensearchs_shape",
    ),
)

"""Writes plugin_api/SEARCH.md from the cases that prove it: `python -m tests.integration.search.table`."""

import re
from collections.abc import Iterator
from pathlib import Path

from plugin_api.search.reasons import Reason
from tests.integration.search.case import Case, Outcome
from tests.integration.search.cases import CASES, PROOFS

FILE = Path(__file__).parents[3] / "plugin_api/SEARCH.md"

HEAD = """# `_search`, `_msearch` and `_count`: what is reranked, and what is not

Written by `python -m tests.integration.search.table` from the cases that `tests/integration/search/test_compatibility.py`
asks of OpenSearch 3.5.0 and 2.19.1 directly and through the sidecar: change a case, not this page. For every row
the two answers are compared:

| what becomes of it | what the test holds |
|---|---|
| reranked; vectors add hits | The answer is OpenSearch's own for the widened query, which finds some products beside the text's own hits: the same hits, each as OpenSearch shows it, the same total, aggregations, suggestions and shards. Hits stand in Attune's order; by `_score` they descend. |
| reranked; the caller's own hits only | The same hits and total, in another order: the caller wants nothing but what its own words find, or what was asked for can't be asked of other hits. |
| in OpenSearch's order; vectors add hits | OpenSearch's own answer for the widened query, in its order. The reason is in `ext.attune` and in headers, as below. |
| as OpenSearch answers | The same answer but for `took`. The reason is in `ext.attune.reason_code` and `ext.attune.reason`, and in the headers `x-attune-rerank-reason-code` and `x-attune-rerank-reason`. |
| OpenSearch's error | The same status and error. |

## The result set

A text search finds R: all that its text clause T finds, and the products A that are near the text by vector and that the
model gives a probability of `search.floor` or more: before calibration, too, where they have none of the text's words, so that
a text of no meaning finds nothing. Only T is changed, in its place, into
`bool.should [T, {ids: A, boost: 0}]`. So filters, `post_filter`, aggregations, totals, `_count`, sorts, `collapse`, `scroll`
and points in time are OpenSearch's own over one set, and agree.

- A is chosen from the nearest products, and from the nearest of those that meet what the text demands ("under 20", "without
  cable"). It depends on the text, the caller's view of the index and the model, not on the conditions around the text: a filter
  never adds a product. Fields that must hold before the nearest are chosen, such as a tenant, are named in
  `search.always`; an alias's own filter always holds.
- T is the clause that looks for words in text fields; `ext.attune.text` says for which. Beside it a `match` on a keyword,
  number or boolean is a condition, and so is a second text in `must`: of several, the one that looks in the most textual
  fields is T (a title before a brand or category), then the first.
- A is empty where the caller wants only its own words (`operator: and`, `minimum_should_match` of all words, phrases,
  prefixes, `query_string` with operators, `"verbatim": true`), for a model number, an identifier, and a text that the
  model can't read. Where such a text finds nothing at all, `search.rescue` lets A in, and `ext.attune.rescued` says so;
  never for an identifier.
- A text is ranked by, and A is found by, the text with its spelling corrected, which `ext.attune.corrected` tells beside the
  `original`. T is searched as it came: its own hits are never lost. With `"verbatim": true` nothing is corrected.
- What a text demands ("under 20", "27 inch") only orders hits, and chooses among A. Kinds of demands that
  `search.filter_demands` names are conditions instead: a `filter` beside the query, of products whose price, attributes or
  title say that they meet it. With `"verbatim": true` there are none.
- A product that holds a model number of the text comes before all that don't; an identifier's hits keep OpenSearch's
  order.
- Popularity and the history of the shopper whom `ext.attune.user` names move hits and add none, as
  [SHOPPERS.md](SHOPPERS.md) says. A cluster that reranks by itself (`attune install`) leaves both out.

`attune` and its vectors are left out of every `_source`, except where a search goes on byte for byte. When reranking
fails or takes too long, OpenSearch's answer comes back, and `ext.attune.rerank_status` says so.

A hit without vectors keeps its place in the caller's own order, among the reranked hits;
`ext.attune.without_vectors` counts such hits. Of all that were considered, their share is
`attune_hits_without_vectors_total / (attune_hits_without_vectors_total + attune_window_sum)` at `/_attune/metrics`.

A pipeline inside the cluster (`attune install`) does not tell the sidecar which index is searched. So of what this page says,
spelling, demands and what `attune tune` recorded in an index do not hold there: the sidecar's own settings do.
"""  # noqa: E501

REASONS_HEAD = """## Reasons

Why a search was not reranked: the code is in `ext.attune.reason_code`, the status in
`ext.attune.rerank_status`, the sentence in `ext.attune.reason`. The metric `attune_unranked_total` counts
searches by code (label `reason`) and status.

| code | status | sentence |
|---|---|---|
"""

VERSIONS = {("3.5.0",): "tested on 3.5.0", ("2.19.1",): "tested on 2.19.1"}


def table() -> str:
    """The page, whole."""
    groups = dict.fromkeys([*(case.group for case in CASES), *(proof.group for proof in PROOFS)])
    parts = [HEAD]
    for group in groups:
        rows = [*_rows(group)]
        parts.append(
            f"## {group}\n\n| asked for | what becomes of it | reason, or what is shown |\n|---|---|---|\n"
        )
        parts[-1] += "".join(
            f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in rows
        )
    return "\n".join((*parts, reasons()))


def reasons() -> str:
    """The page's table of reasons, from the enum."""
    sentences = {reason: re.sub(r"{(.*?)}", r"*\1*", reason.sentence) for reason in Reason}
    rows = [f"| `{reason.value}` | `{reason.status.value}` | {sentences[reason]} |\n" for reason in Reason]
    return REASONS_HEAD + "".join(rows)


def _rows(group: str) -> Iterator[tuple[str, str, str]]:
    for case in CASES:
        if case.group == group:
            yield case.feature, case.outcome.value, "; ".join(_details(case))
    for proof in PROOFS:
        if proof.group == group:
            yield proof.feature, proof.outcome, ""


def _details(case: Case) -> Iterator[str]:
    if case.outcome in (Outcome.PLAIN, Outcome.SORTED):
        yield case.reason
    if case.text:
        yield f"by “{case.text}”"
    hits = [f"`{name[4:]}`" for name in case.shows if name.startswith("hit.")]
    beside = [f"`{name}`" for name in case.shows if not name.startswith("hit.")]
    for names, of in ((hits, "hits"), (beside, "the answer")):
        if names:
            yield f"{', '.join(names)} of {of}"
    if case.lacks:
        yield f"no {', '.join(f'`{name}`' for name in case.lacks)} in hits"
    if case.versions in VERSIONS:
        yield VERSIONS[case.versions]


if __name__ == "__main__":
    FILE.write_text(table(), encoding="utf-8")

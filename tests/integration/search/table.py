"""Writes plugin_api/SEARCH.md from the cases that prove it: `python -m tests.integration.search.table`."""

from collections.abc import Iterator
from pathlib import Path

from tests.integration.search.case import Case, Outcome
from tests.integration.search.cases import CASES, PROOFS

FILE = Path(__file__).parents[3] / "plugin_api/SEARCH.md"

HEAD = """# `_search` and `_msearch`: what is reranked, and what is not

Written by `python -m tests.integration.search.table` from the cases that `tests/integration/search/test_compatibility.py`
asks of OpenSearch 3.5.0 and 2.19.1 directly and through the sidecar: change a case, not this page. For every row
the two answers are compared:

| what becomes of it | what the test holds |
|---|---|
| reranked; vectors add hits | All hits of the query come back, and others that only the vectors find and that meet every condition: filters, `must_not`, `post_filter`, an alias's own. An exact total grows by those. Aggregations, suggestions and shards are OpenSearch's own, and so is each hit but for `_score`, by which they descend. |
| reranked; the caller's own hits only | The same hits and total, in another order: what was asked for can't be asked of hits that the query does not find. |
| as OpenSearch answers | The same answer but for `took`; why stands in `ext.attune.reason` or, where the body is left as it is, in the header `x-attune-rerank-reason`. |
| OpenSearch's error | The same status and error. |

`attune` and its vectors are left out of every `_source`, except where a search goes on byte for byte (`scroll`, `pit`,
`filter_path`, `format`, `source`). When reranking fails or takes too long, OpenSearch's answer comes back, and
`ext.attune.rerank_status` says so.
"""  # noqa: E501

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
    return "\n".join(parts)


def _rows(group: str) -> Iterator[tuple[str, str, str]]:
    for case in CASES:
        if case.group == group:
            yield case.feature, case.outcome.value, "; ".join(_details(case))
    for proof in PROOFS:
        if proof.group == group:
            yield proof.feature, proof.outcome, ""


def _details(case: Case) -> Iterator[str]:
    if case.outcome is Outcome.PLAIN:
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

"""`_msearch`: each search of the list is reranked or sent on; all answers come back in the list's order."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Raw

from mappings.errors import BadRequest, ClusterDown
from plugin_api.opensearch.client import NO_ANSWER, OpenSearchClient, with_query
from plugin_api.opensearch.connection import Headers
from plugin_api.opensearch.raw_json import RawObject, decoded, dumps, raw_object, raw_objects
from plugin_api.search import response
from plugin_api.search.query.request import (
    HEADER_PARAMETERS,
    PlainRequest,
    RerankRequest,
    SearchCall,
    parse_call,
)
from plugin_api.search.response import Answer, Report, error_answer
from plugin_api.search.search import Search, own_words
from plugin_api.search.templates import render

SHARED = frozenset({"typed_keys", "rest_total_hits_as_int", "ccs_minimize_roundtrips", "pretty"})
"""URL parameters that hold for each search of the list."""

LIST_ONLY = frozenset({"max_concurrent_searches"})

OF_OPENSEARCH = frozenset({"warning", "x-opaque-id", "x-opensearch-version"})
"""Headers of the answers to parts of a list that hold for the whole of it."""

AT_ONCE = 4
"""Searches of lists that are reranked at a time, in one process."""


@dataclass(frozen=True, slots=True)
class _Item:
    header: RawObject
    call: SearchCall
    request: RerankRequest | PlainRequest | Answer


class _Refused(Exception):
    """OpenSearch refuses the list as a whole: it does not know the caller, or can't read one of it."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


class MultiSearch:
    """Answers `_msearch`. Thread-safe; share one among all requests of a process."""

    def __init__(self, client: OpenSearchClient, search: Search) -> None:
        self._client = client
        self._search = search
        self._executor = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="attune-msearch")

    def answer(self, call: SearchCall) -> Answer | None:
        """Answer one `_msearch`, or return None where it should go on as it came.

        Raises ClusterDown when OpenSearch does not answer.
        """
        if call.params.keys() - SHARED - LIST_ONLY:
            return None
        try:
            items = list(_items(call))
        except (ValueError, RecursionError):
            return None
        if all(isinstance(item.request, PlainRequest) and item.request.exact for item in items):
            return None
        try:
            return self._answered(call, items)
        except _Refused as refused:
            return refused.answer

    def _answered(self, call: SearchCall, items: list[_Item]) -> Answer:
        reranked = {
            number: self._executor.submit(copy_context().run, self._one, item)
            for number, item in enumerate(items)
            if not isinstance(item.request, PlainRequest)
        }
        plain = [item for item in items if isinstance(item.request, PlainRequest)]
        passed, headers = self._passed(call, plain)
        rest = iter(passed)
        answers = []
        for number in range(len(items)):
            answer, of_one = reranked[number].result() if number in reranked else (next(rest), ())
            answers.append(answer)
            headers += of_one
        if any(bytes(answers[number].get("status", b"")) == b"400" for number in reranked):
            self._passed(call, [_unranked(item) for item in items if not isinstance(item.request, Answer)])
        took = max((int(str(decoded(answer.get("took"), 0))) for answer in answers), default=0)
        kept = dict.fromkeys(pair for pair in headers if pair[0] in OF_OPENSEARCH)
        body = dumps({"took": took, "responses": answers})
        return Answer(200, body, (("content-type", response.JSON_TYPE), *kept))

    def answer_templates(self, call: SearchCall, timeout_seconds: float) -> Answer | None:
        """Answer one `_msearch/template`. Raises as `answer` does, and NotRendered."""
        lines = call.body.strip().split(b"\n")
        for number in range(1, len(lines), 2):
            lines[number] = render(self._client, call.headers, lines[number], timeout_seconds)
        return self.answer(replace(call, body=b"\n".join(lines)))

    def _one(self, item: _Item) -> tuple[RawObject, Headers]:
        assert not isinstance(item.request, PlainRequest)
        try:
            answer = (
                item.request
                if isinstance(item.request, Answer)
                else self._search.answer_parsed(item.call, item.request)
            )
        except BadRequest as error:
            answer = error_answer(400, error.kind, str(error))
        body = answer.body if isinstance(answer.body, bytes) else b"".join(answer.body)
        if answer.status == 401:
            raise _Refused(replace(answer, body=body))
        try:
            return {**raw_object(body), "status": Raw(dumps(answer.status))}, answer.headers
        except ValueError as error:
            raise ClusterDown(NO_ANSWER) from error

    def _passed(self, call: SearchCall, items: list[_Item]) -> tuple[list[RawObject], Headers]:
        """Answers to the searches that are not reranked, each with the reason; and their headers.

        Raises _Refused where OpenSearch does not take such a list.
        """
        if not items:
            return [], ()
        lines = []
        for item in items:
            assert isinstance(item.request, PlainRequest)
            lines += [dumps(item.header), item.request.body.strip().replace(b"\n", b" ") or b"{}"]
        headers = {**call.headers, "content-type": "application/x-ndjson"}
        path = f"/{call.index}/_msearch" if call.index else "/_msearch"
        body = b"\n".join(lines) + b"\n"
        reply = self._client.request("POST", with_query(path, call.params), headers, body)
        if reply.status in (400, 401):
            raise _Refused(Answer(reply.status, reply.body, reply.headers))
        try:
            found = raw_object(reply.body)
            if reply.status != 200:
                return [{**found, "status": Raw(dumps(reply.status))}] * len(items), reply.headers
            answers = raw_objects(found["responses"])
            pairs = list(zip(answers, items, strict=True))
        except (ValueError, KeyError) as error:
            raise ClusterDown(NO_ANSWER) from error
        told = [_with_reason(answer, item, self._search) for answer, item in pairs]
        refused = {
            number: replace(item, request=own)
            for number, (answer, item) in enumerate(pairs)
            if bytes(answer.get("status", b"")) == b"400" and (own := _own_words(item))
        }
        again, _ = self._passed(call, list(refused.values()))
        for number, answer in zip(refused, again, strict=True):
            told[number] = answer
        return told, reply.headers


def _unranked(item: _Item) -> _Item:
    """The item as it is sent where it is not reranked."""
    return replace(item, request=item.request.plain) if isinstance(item.request, RerankRequest) else item


def _own_words(item: _Item) -> PlainRequest | None:
    return own_words(item.call, item.request) if isinstance(item.request, PlainRequest) else None


def _with_reason(answer: RawObject, item: _Item, search: Search) -> RawObject:
    assert isinstance(item.request, PlainRequest)
    report = Report(response.SKIPPED, search.models[0], item.request.reason)
    return answer if "error" in answer else response.with_report(answer, report)


def _items(call: SearchCall) -> Iterator[_Item]:
    lines = call.body.split(b"\n")
    if lines and not lines[-1].strip():
        lines.pop()
    if len(lines) % 2:
        raise ValueError("a header without a search")
    headers = {**call.headers, "content-type": "application/json", "accept-encoding": "identity"}
    for head, body in zip(lines[::2], lines[1::2], strict=True):
        header = raw_object(head) if head.strip() else {}
        given: Mapping[str, Any] = {name: decoded(value) for name, value in header.items()}
        index = given.get("index", given.get("indices"))
        names = index if isinstance(index, list) else [index] if index else []
        params = {name: value for name, value in call.params.items() if name in SHARED}
        params |= {name: _text(value) for name, value in given.items() if name not in ("index", "indices")}
        one = SearchCall(quote(",".join(map(str, names)), safe=",*") or call.index, body, params, headers)
        yield _Item(header, one, _read(one))


def _read(call: SearchCall) -> RerankRequest | PlainRequest | Answer:
    unknown = call.params.keys() - HEADER_PARAMETERS - SHARED
    if unknown:
        return PlainRequest(call.body, {}, f"a search with the header {min(unknown)} is not reranked")
    try:
        return parse_call(call)
    except BadRequest as error:
        return error_answer(400, error.kind, str(error))


def _text(value: object) -> str:
    """A value of a header line as a URL parameter."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()

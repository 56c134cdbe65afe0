"""Answer `_msearch`: each search of the list is reranked or sent on; answers keep the list's order."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from msgspec import Raw

from mappings.errors import BadRequest, ClusterDown
from plugin_api.opensearch.client import NO_ANSWER, Headers, OpenSearchClient, append_query
from plugin_api.opensearch.raw_json import RawObject, decoded, dumps, raw_object, raw_objects
from plugin_api.search.answer import JSON_TYPE, Answer, error_answer
from plugin_api.search.deadline import Deadline
from plugin_api.search.fallback import unmodified_request
from plugin_api.search.query.request import HEADER_PARAMETERS
from plugin_api.search.query.types import FallbackRequest, RerankRequest, SearchCall
from plugin_api.search.reasons import Cause, Reason
from plugin_api.search.render import BODY_HEADERS, add_report
from plugin_api.search.search import Searcher
from plugin_api.search.templates import render_template

MAX_LIST_LENGTH = 100
"""Searches of the longest list that is reranked. At some 15 ms each, the default deadline comes earlier."""

_SHARED_PARAMETERS = frozenset({"typed_keys", "rest_total_hits_as_int", "ccs_minimize_roundtrips", "pretty"})
"""URL parameters that hold for each search of the list."""

_LIST_PARAMETERS = frozenset({"max_concurrent_searches"})
"""URL parameters of the list as a whole."""

_MAX_CONCURRENT = 4
"""Searches of lists that are reranked at the same time in one process."""

_MAX_CONCURRENT_OF_LIST = 2
"""Searches of one list that are reranked at the same time, so that lists of other callers get their turn."""

_Part = tuple[RawObject, Headers]
"""The answer to one search of a list, and its headers."""


@dataclass(frozen=True, slots=True)
class _Item:
    """One search of a list: its header line, and what becomes of it. An Answer is its error."""

    header: RawObject
    call: SearchCall
    request: RerankRequest | FallbackRequest | Answer


class _ListRefused(Exception):
    """OpenSearch refuses the whole list: it does not know the caller, or can't read one of the searches."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


class MultiSearch:
    """Answers `_msearch`. Thread-safe; share one among all requests of a process."""

    def __init__(self, client: OpenSearchClient, searcher: Searcher) -> None:
        self._client = client
        self._searcher = searcher
        self._executor = ThreadPoolExecutor(_MAX_CONCURRENT, thread_name_prefix="attune-msearch")

    def answer(self, call: SearchCall, deadline: Deadline) -> Answer | Cause:
        """Answer one `_msearch`, or return why the list should go on as it came.

        Searches that are not reranked when the deadline passes get OpenSearch's own hits. Raises ClusterDown
        when OpenSearch does not answer.
        """
        if call.params.keys() - _SHARED_PARAMETERS - _LIST_PARAMETERS:
            return Reason.UNREADABLE_LIST.because()
        if call.body.count(b"\n") > 2 * MAX_LIST_LENGTH:
            return Reason.LIST_TOO_LONG.because(limit=MAX_LIST_LENGTH)
        try:
            items = list(_read_items(call, self._searcher))
        except (ValueError, RecursionError):
            return Reason.UNREADABLE_LIST.because()
        if all(isinstance(item.request, FallbackRequest) and item.request.verbatim for item in items):
            return Reason.UNREADABLE_LIST.because()
        try:
            return self._answer_items(call, items, deadline)
        except _ListRefused as refusal:
            return refusal.answer

    def answer_templates(self, call: SearchCall, deadline: Deadline) -> Answer | Cause:
        """Answer one `_msearch/template`. Raises as `answer` does, and NotReranked."""
        lines = call.body.strip().split(b"\n")
        if len(lines) > 2 * MAX_LIST_LENGTH:
            return Reason.LIST_TOO_LONG.because(limit=MAX_LIST_LENGTH)
        for number in range(1, len(lines), 2):
            lines[number] = render_template(self._client, call.headers, lines[number], deadline)
        return self.answer(replace(call, body=b"\n".join(lines)), deadline)

    def _answer_items(self, call: SearchCall, items: Sequence[_Item], deadline: Deadline) -> Answer:
        marked = {n for n, item in enumerate(items) if self._searcher.shows_marked(item.call)}
        own = {n: item for n, item in enumerate(items) if n in marked or not _goes_on(item.request)}
        others = {n: item for n, item in enumerate(items) if n not in own}
        queue = deque(own.items())
        running = self._submit(queue, {}, deadline)
        parts, headers = self._send(call, list(others.values()))
        answers: dict[int, _Part] = dict(zip(others, ((part, headers) for part in parts), strict=True))
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            answers |= {running[future]: future.result() for future in done}
            running = {future: number for future, number in running.items() if future not in done}
            running |= self._submit(queue, running, deadline)
        # What shows marked products is more than one search, and never one of a list that is sent on.
        answers |= {number: self._answer_item(item, deadline) for number, item in queue if number in marked}
        queue = deque((number, item) for number, item in queue if number not in marked)
        late = Reason.DEADLINE.because(stage="waiting", milliseconds=round(deadline.seconds * 1000))
        parts, headers = self._send(call, [_fallback_item(item, late) for _, item in queue])
        answers |= zip((number for number, _ in queue), ((part, headers) for part in parts), strict=True)
        if any(bytes(answers[number][0].get("status", b"")) == b"400" for number in own):
            # OpenSearch refuses a whole list for one search that it can't read: it tells which one is.
            self._send(call, [_fallback_item(item) for item in items if not isinstance(item.request, Answer)])
        return _join([answers[number] for number in range(len(items))])

    def _submit(
        self, queue: deque[tuple[int, _Item]], running: Mapping[Future[_Part], int], deadline: Deadline
    ) -> dict[Future[_Part], int]:
        """Start searches from the front of the queue, as many as the list may have at a time."""
        started: dict[Future[_Part], int] = {}
        while queue and not deadline.has_passed and len(running) + len(started) < _MAX_CONCURRENT_OF_LIST:
            number, item = queue.popleft()
            future = self._executor.submit(copy_context().run, self._answer_item, item, deadline)
            started[future] = number
        return started

    def _answer_item(self, item: _Item, deadline: Deadline) -> _Part:
        try:
            answer = item.request
            if not isinstance(answer, Answer):
                answer = self._searcher.answer_request(item.call, answer, deadline)
        except BadRequest as error:
            answer = error_answer(400, error.kind, str(error))
        body = answer.read()
        if answer.status == 401:
            raise _ListRefused(replace(answer, body=body))
        try:
            return {**raw_object(body), "status": Raw(dumps(answer.status))}, answer.headers
        except ValueError as error:
            raise ClusterDown(NO_ANSWER) from error

    def _send(self, call: SearchCall, items: Sequence[_Item]) -> tuple[list[RawObject], Headers]:
        """Return the answers to searches that are not reranked, each with the reason, and their headers.

        Raises _ListRefused where OpenSearch refuses such a list.
        """
        if not items:
            return [], ()
        requests = [item.request for item in items if isinstance(item.request, FallbackRequest)]
        lines = []
        for item, request in zip(items, requests, strict=True):
            lines += [dumps(item.header), request.body.strip().replace(b"\n", b" ") or b"{}"]
        headers = {**call.headers, "content-type": "application/x-ndjson"}
        path = f"/{call.index}/_msearch" if call.index else "/_msearch"
        response = self._client.request(
            "POST", append_query(path, call.params), headers, b"\n".join(lines) + b"\n"
        )
        if response.status in (400, 401):
            raise _ListRefused(Answer(response.status, response.body, response.headers))
        try:
            body = raw_object(response.body)
            if response.status != 200:
                return [{**body, "status": Raw(dumps(response.status))}] * len(items), response.headers
            answers = raw_objects(body["responses"])
            parts = [self._with_reason(*pair) for pair in zip(answers, requests, strict=True)]
        except (ValueError, KeyError) as error:
            raise ClusterDown(NO_ANSWER) from error
        again = {
            number: replace(item, request=unmodified)
            for number, (answer, item, request) in enumerate(zip(answers, items, requests, strict=True))
            if bytes(answer.get("status", b"")) == b"400"
            and not self._searcher.rules
            and (unmodified := unmodified_request(item.call, request))
        }
        retried = dict(zip(again, self._send(call, list(again.values()))[0], strict=True))
        return [retried.get(number, part) for number, part in enumerate(parts)], response.headers

    def _with_reason(self, answer: RawObject, request: FallbackRequest) -> RawObject:
        if "error" in answer:
            return answer
        return add_report(self._searcher.rules.mark(answer), self._searcher.report(request.cause))


def _goes_on(request: RerankRequest | FallbackRequest | Answer) -> bool:
    """Return whether a search is sent on as it is, with the others that are."""
    return isinstance(request, FallbackRequest) and request.search is None


def _fallback_item(item: _Item, cause: Cause | None = None) -> _Item:
    """Return the item as it is sent where it is not reranked."""
    if isinstance(item.request, Answer):
        return item
    fallback = item.request.fallback if isinstance(item.request, RerankRequest) else item.request
    return replace(item, request=replace(fallback, cause=cause) if cause else fallback)


def _join(parts: Sequence[_Part]) -> Answer:
    """Return the answer to the list: its parts, and their headers but those of a body or of one report."""
    took = max((int(str(decoded(body.get("took"), 0))) for body, _ in parts), default=0)
    shared = (
        (name, value)
        for _, headers in parts
        for name, value in headers
        if name not in BODY_HEADERS and not name.startswith("x-attune-")
    )
    body = dumps({"took": took, "responses": [body for body, _ in parts]})
    return Answer(200, body, (("content-type", JSON_TYPE), *dict.fromkeys(shared)))


def _read_items(call: SearchCall, searcher: Searcher) -> Iterator[_Item]:
    lines = call.body.split(b"\n")
    if lines and not lines[-1].strip():
        lines.pop()
    if len(lines) % 2:
        raise ValueError("a header without a search")
    headers = {**call.headers, "content-type": "application/json", "accept-encoding": "identity"}
    for head, body in zip(lines[::2], lines[1::2], strict=True):
        header = raw_object(head) if head.strip() else {}
        values: Mapping[str, Any] = {name: decoded(value) for name, value in header.items()}
        index = values.get("index", values.get("indices"))
        names = index if isinstance(index, list) else [index] if index else []
        params = {name: value for name, value in call.params.items() if name in _SHARED_PARAMETERS}
        params |= {name: _text(value) for name, value in values.items() if name not in ("index", "indices")}
        one = SearchCall.of(",".join(map(str, names)), body, params, headers)
        one = one if one.index else replace(one, index=call.index)
        yield _Item(header, one, _parse(one, searcher))


def _parse(call: SearchCall, searcher: Searcher) -> RerankRequest | FallbackRequest | Answer:
    unknown = call.params.keys() - HEADER_PARAMETERS - _SHARED_PARAMETERS
    if unknown:
        return FallbackRequest(call.body, {}, Reason.UNSUPPORTED_HEADER.because(name=min(unknown)[:100]))
    try:
        return searcher.parse(call)
    except BadRequest as error:
        return error_answer(400, error.kind, str(error))


def _text(value: object) -> str:
    """Return a value of a header line as a URL parameter."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()

"""Requests made from the OpenAPI document, by schemathesis: such as it allows, and such as it doesn't."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import settings as hypothesis_settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.core import NotSet
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from mappings.product_key import ProductKey
from tests.fakes.json_client import JsonClient
from tests.fakes.shop import stored_bytes

CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
)
INSIDE = (b"Traceback", b'File "', b"site-packages", b"plugin_api", b"object at 0x", b"Z2VoZWltZXM6")
SECRETS = {"Authorization": "Basic Z2VoZWltZXM6cGFzc3dvcnQ="}
PASSED_ON = ("/_search", "/_msearch", "/_count")
"""In paths whose bodies are OpenSearch's to judge: what it takes is no business of the document's."""

READ_FREELY = ("/_attune/query", "/_attune/assets/{name}")
"""Where any text will do."""


@schemathesis.serializer("application/x-ndjson")
def _lines(ctx: object, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


@dataclass
class Outcome:
    """What became of the requests to one operation; `failures` maps what is wrong to how often it was."""

    operation: str
    kind: str
    statuses: Counter[int] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)

    @property
    def cases(self) -> int:
        return self.statuses.total()


def fuzz(schema: BaseSchema, examples: int, number: int, left_out: Iterable[str] = ()) -> Iterator[Outcome]:
    """Send up to `examples` allowed and as many other requests to each operation but `left_out`."""
    operations = [found.ok() for found in schema.get_all_operations()]
    for operation in operations:
        if operation.label in left_out:
            continue
        for mode in schemathesis.GenerationMode:
            outcome = Outcome(operation.label, mode.value)
            judged = not any(word in operation.path for word in (*PASSED_ON, *READ_FREELY))
            checks = [*CHECKS, *((negative_data_rejection,) if judged else ())]
            _run(operation.as_strategy(generation_mode=mode), outcome, checks, examples, number)
            yield outcome


def _run(strategy: Any, outcome: Outcome, checks: list[Any], examples: int, number: int) -> None:
    @seed(number)
    @hypothesis_settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def ask(case: schemathesis.Case) -> None:
        if not isinstance(case.body, NotSet | bytes):
            case.body = _whole(case.body)
        response = case.call(headers=SECRETS)
        outcome.statuses[response.status_code] += 1
        shown = response.content + str(response.headers).encode()
        if any(word in shown for word in INSIDE):
            outcome.failures[f"shows the inside: {shown[:500]!r}"] += 1
        try:
            case.validate_response(response, checks=checks, headers=SECRETS)
        except schemathesis.errors.FailureGroup as failure:
            outcome.failures[str(failure)] += 1

    with suppress(Unsatisfiable):  # an operation that takes nothing can't be asked wrongly
        ask()


def _whole(value: Any) -> Any:
    """The value with 3.0 as 3: JSON schema takes both for whole numbers, Attune only the latter."""
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


class OneHit(JsonClient):
    """A client that finds the same one product in answer to everything; `stored` is its attune.tokens."""

    def __init__(self, stored: str, model: str) -> None:
        super().__init__()
        self._hit = {
            "_index": "shop-1",
            "_id": "1",
            "_score": 1.5,
            "_source": {"title": "Wireless mouse", "price": 19.9},
            "fields": {
                "attune.key": [stored_bytes(ProductKey("1", model, "0" * 16).pack())],
                "attune.tokens": [stored],
                "attune.model": [model],
            },
        }

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, Any]:
        found = {
            "took": 1,
            "timed_out": False,
            "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0},
            "hits": {"total": {"value": 1, "relation": "eq"}, "max_score": 1.5, "hits": [self._hit]},
            "status": 200,
        }
        if "_msearch" in target:
            searches = len([line for line in body.split(b"\n") if line]) // 2
            return 200, {"took": 1, "responses": [found] * searches}
        return 200, found

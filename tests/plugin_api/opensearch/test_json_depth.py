import time

import pytest

from mappings.errors import BadRequest
from plugin_api.opensearch.json_depth import MAX_DEPTH, check_depth


@pytest.mark.parametrize("around", [(b"[", b"]"), (b'{"a":', b"}"), (b'{"bool":{"must":[', b"]}}")])
def test_deep_nesting_is_refused(around: tuple[bytes, bytes]) -> None:
    opening, closing = around
    levels = opening.count(b"{") + opening.count(b"[")
    allowed = MAX_DEPTH // levels
    check_depth(opening * allowed + b"1" + closing * allowed)
    for deep in (allowed + 1, 10_000, 100_000):
        for closed in (deep, 0):
            with pytest.raises(BadRequest, match="deeper than 200 levels"):
                check_depth(opening * deep + b"1" + closing * closed)


def test_many_brackets_side_by_side_and_in_texts_are_no_depth() -> None:
    check_depth(b"[" + b"{}," * 10_000 + b"{}]")
    check_depth(b'{"query": "' + b"[{" * 10_000 + b'"}')
    check_depth(b'{"query": "\\"' + b"[{" * 10_000 + b'\\\\"}')
    check_depth(b'{"index": "a"}\n{"query": {"match": {"title": "a"}}}\n' * 1000)


def test_lines_count_one_by_one() -> None:
    check_depth(b"{\n" * 1000, lines=True)
    with pytest.raises(BadRequest):
        check_depth(b"{}\n" + b"[" * 300 + b"\n{}\n", lines=True)


def test_text_that_is_no_json_takes_no_longer() -> None:
    began = time.perf_counter()
    for text in (
        b'"' * 1_000_001,
        b'"\\' * 500_000 + b"{" * 150,
        b"}" * 1_000_000 + b"[" * 250,
    ):
        check_depth(text)
    assert time.perf_counter() - began < 3

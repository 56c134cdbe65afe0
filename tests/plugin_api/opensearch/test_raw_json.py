import json

import pytest
from msgspec import Raw

from plugin_api.opensearch.raw_json import dumps, prettify, raw_object, raw_objects


@pytest.mark.parametrize(
    "value",
    [
        b"1.0E10",
        b"-0",
        b"0.1000",
        b"123456789012345678901234567890.123456789",
        b"9" * 5000,
        b'"\\u00e9\\/ \\ud83d\\ude00"',
        b'{"b": 1,  "a":[ ]}',
        b"null",
    ],
)
def test_what_is_not_read_stays_as_it_came(value: bytes) -> None:
    read = raw_object(b'{"first": ' + value + b' , "second":[]}')
    assert bytes(read["first"]) == value
    assert dumps({"kept": read["first"], "new": 1}) == b'{"kept":' + value + b',"new":1}'


def test_an_object_within_is_read_the_same_way() -> None:
    inner = raw_object(b'{"hits": {"total": {"value": 3}, "hits": []}}')["hits"]
    assert {name: bytes(value) for name, value in raw_object(inner).items()} == {
        "total": b'{"value": 3}',
        "hits": b"[]",
    }


def test_of_a_key_that_comes_twice_the_last_counts() -> None:
    assert dict(raw_object(b'{"size": 1, "size": 2}')) == {"size": Raw(b"2")}


@pytest.mark.parametrize("data", [b"", b"[]", b"1", b"null", b"{", b'{"a": }', b"{'a': 1}", b'{"a": 1} x'])
def test_what_is_no_object_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        raw_object(data)


def test_a_list_of_objects_is_read_each_by_its_keys() -> None:
    first, second = raw_objects(b'[{"_id": "1", "_score": 1.50}, {}]')
    assert (bytes(first["_id"]), bytes(first["_score"]), second) == (b'"1"', b"1.50", {})
    for data in (b"{}", b"[1]", b"[{}", b"null"):
        with pytest.raises(ValueError, match=r".+"):
            raw_objects(data)


def test_people_get_indented_json_with_the_numbers_as_they_came() -> None:
    shown = prettify(b'{"took":3,"hits":{"max_score":1.0E10,"hits":[]}}')
    assert shown.startswith(b'{\n  "took": 3,\n  "hits": {\n    "max_score": 1.0E10,')
    assert json.loads(shown) == {"took": 3, "hits": {"max_score": 1.0e10, "hits": []}}

import pytest

from plugin_api.opensearch.doc_values import read_binary, read_lowest


@pytest.mark.parametrize(
    ("values", "stored"),
    [
        (["YQ"], b"a"),
        (["YWI"], b"ab"),
        (["YWJj"], b"abc"),
        (["a"], b""),
        ([None], b""),
        ([], b""),
        (None, b""),
    ],
)
def test_a_binary_value_has_no_padding_and_may_be_missing(values: list[object] | None, stored: bytes) -> None:
    assert read_binary(values) == stored
    assert read_binary(None) == b""


def test_the_lowest_is_that_of_the_numbers() -> None:
    assert read_lowest([9.5, "1.0", 3]) == 3
    assert read_lowest([]) is None

import pytest

from indexer.sources.files.nesting import check_levels


@pytest.mark.parametrize("levels", [21, 600, 100_000])
def test_what_is_nested_too_deep(levels: int) -> None:
    lists: object = 1
    objects: object = 1
    for _ in range(levels):
        lists = [lists]
        objects = {"a": objects}
    for value in (lists, objects, [objects, 1]):
        with pytest.raises(ValueError, match="20 levels"):
            check_levels({"column": value})


def test_what_is_not() -> None:
    check_levels({"a": [{"b": [[1], {}]}], "c": "x", "d": None})

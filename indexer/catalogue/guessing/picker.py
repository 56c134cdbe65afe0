"""Choose columns for the fields of a product by their names and by what a sample shows of them."""

from collections.abc import Mapping, Sequence

from indexer.catalogue.guessing.sample import Sample

ColumnsByName = Mapping[str, Sequence[str]]
"""The columns that have a name, the best first."""


class NamePicker:
    """Finds columns by name. A column that is taken for one field is not taken for another.

    `by_name` are the columns of the sample, `nested_by_name` keys of the objects in them.
    """

    def __init__(
        self, sample: Sample, by_name: ColumnsByName, nested_by_name: ColumnsByName | None = None
    ) -> None:
        self._sample = sample
        self._by_name = by_name
        self._nested_by_name = nested_by_name or {}
        self._taken: set[str] = set()

    def list_named(self, wanted: str, nested: bool = False) -> list[str]:
        """Return the columns with one of the names, best first; then such keys of objects (`nested`)."""
        by_name = [self._by_name, self._nested_by_name] if nested else [self._by_name]
        columns = [column for named in by_name for name in wanted.split() for column in named.get(name, [])]
        return [column for column in dict.fromkeys(columns) if column not in self._taken]

    def take(self, wanted: str, nested: bool = False, least: float = 0.2) -> tuple[str, ...]:
        """Return the best column with one of the names, none where there is none, and take it.

        It is filled in at least this share of the records in which the fullest of them is.
        """
        column = self._sample.choose(self.list_named(wanted, nested), least)
        self._taken.add(column)
        return (column,) if column else ()

    def take_one(self, wanted: str, nested: bool = False) -> str:
        """Return the column of `take`, empty where there is none."""
        return next(iter(self.take(wanted, nested)), "")

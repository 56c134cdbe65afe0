from pathlib import Path

import pytest

from indexer.catalogue.records import Record, Reject
from indexer.sources.files import open_catalogue
from indexer.sources.files.lines import MAX_LINE_BYTES

GOOD = '{"id": "1", "title": "Mug"}'


def read(tmp_path: Path, data: bytes | str) -> list[Record | Reject]:
    (tmp_path / "a.jsonl").write_bytes(data.encode() if isinstance(data, str) else data)
    return list(open_catalogue(tmp_path / "a.jsonl").records())


def test_lines_keep_their_numbers_over_blank_and_broken_ones(tmp_path: Path) -> None:
    outcomes = read(tmp_path, f'\ufeff{GOOD}\n\n{{"id": \n[1]\r\n{GOOD}\r\n"text"')
    assert [outcome.line for outcome in outcomes] == [1, 3, 4, 5, 6]
    assert isinstance(outcomes[0], Record)
    assert outcomes[0].values == {"id": "1", "title": "Mug"}
    assert isinstance(outcomes[1], Reject)
    assert outcomes[1].reason.startswith("broken JSON")
    assert outcomes[1].raw == '{"id": '
    assert isinstance(outcomes[2], Reject)
    assert outcomes[2].reason == "wrong type: a JSON list, not an object"
    assert isinstance(outcomes[3], Record)
    assert outcomes[3].raw == GOOD


def test_a_first_line_that_is_broken_costs_itself(tmp_path: Path) -> None:
    assert [type(outcome) for outcome in read(tmp_path, f'{{"id": \n{GOOD}\n')] == [Reject, Record]
    assert [type(outcome) for outcome in read(tmp_path, f"[1]\n{GOOD}\n")] == [Reject, Record]


def test_bad_bytes_reject_their_line_only(tmp_path: Path) -> None:
    outcomes = read(tmp_path, b'{"id": "caf\xe9"}\n' + '{"id": "Größe"}\n{"id": "é"}\n'.encode())
    assert isinstance(outcomes[0], Reject)
    assert outcomes[0].reason == "not UTF-8: byte 0xe9"
    assert isinstance(outcomes[1], Record)


def test_lines_in_windows_1252(tmp_path: Path) -> None:
    (record,) = read(tmp_path, '{"id": "1", "title": "Größe"}\n'.encode("cp1252"))
    assert isinstance(record, Record)
    assert record.values["title"] == "Größe"


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"id": ' + "[" * 600 + "]" * 600 + "}", '{"a":' * 50 + "1" + "}" * 50]
)
def test_what_is_nested_too_deep_is_a_reject(tmp_path: Path, text: str) -> None:
    outcomes = read(tmp_path, f"{GOOD}\n{text}\n{GOOD}")
    assert [type(outcome) for outcome in outcomes] == [Record, Reject, Record]


@pytest.mark.parametrize("digits", [401, 5000])
def test_numbers_without_end_are_text(tmp_path: Path, digits: int) -> None:
    (record,) = read(tmp_path, f'{{"id": {"9" * digits}}}')
    assert isinstance(record, Record)
    assert record.values == {"id": "9" * digits}


def test_halves_of_surrogate_pairs_are_replaced(tmp_path: Path) -> None:
    (record,) = read(tmp_path, r'{"id": "a\ud800b", "\uDFFF": ["\ud83d\ude00"]}')
    assert isinstance(record, Record)
    str(record.values).encode()
    assert list(record.values.values())[1] == ["😀"]


def test_an_endless_line_is_cut_and_rejected(tmp_path: Path) -> None:
    outcomes = read(tmp_path, f'{GOOD}\n{{"id": "{"x" * 3 * MAX_LINE_BYTES}"}}\n{GOOD}')
    assert isinstance(outcomes[1], Reject)
    assert "longer than" in outcomes[1].reason
    assert len(outcomes[1].raw) == MAX_LINE_BYTES
    assert isinstance(outcomes[2], Record)
    assert outcomes[2].line == 3

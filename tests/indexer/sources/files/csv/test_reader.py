import time
from pathlib import Path

import pytest

from indexer.catalogue.records import Record, Reject
from indexer.sources.files import ReadOptions, open_catalogue
from mappings.errors import CatalogueError


def parse(tmp_path: Path, data: str | bytes, options: ReadOptions | None = None) -> list[Record | Reject]:
    path = tmp_path / "a.csv"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return list(open_catalogue(path, options).records())


def kinds(outcomes: list[Record | Reject]) -> list[tuple[int, str]]:
    return [(outcome.line, "" if isinstance(outcome, Record) else outcome.kind) for outcome in outcomes]


def titles(outcomes: list[Record | Reject]) -> list[object]:
    return [outcome.values["title"] for outcome in outcomes if isinstance(outcome, Record)]


def test_quoted_fields_hold_line_ends_and_lines_are_counted_in_the_file(tmp_path: Path) -> None:
    outcomes = parse(tmp_path, 'id,text\n1,"two\nlines, ""quoted"""\n2,19" screen\n')
    assert kinds(outcomes) == [(2, ""), (4, "")]
    assert isinstance(outcomes[0], Record)
    assert outcomes[0].values["text"] == 'two\nlines, "quoted"'
    assert outcomes[0].raw == '1,"two\nlines, ""quoted"""\n'
    assert isinstance(outcomes[1], Record)
    assert outcomes[1].values["text"] == '19" screen'


def test_a_quote_that_never_closes_costs_one_record(tmp_path: Path) -> None:
    lines = [f'{n},"Mug {n}",4\n' for n in range(2, 15_000)]
    outcomes = parse(tmp_path, 'id,title,price\n1,"broken,3\n' + "".join(lines))
    assert isinstance(outcomes[0], Reject)
    assert (outcomes[0].line, outcomes[0].raw) == (2, '1,"broken,3\n')
    assert kinds(outcomes[1:]) == [(line, "") for line in range(3, len(lines) + 3)]


def test_a_quote_that_closes_in_another_record_costs_one_record(tmp_path: Path) -> None:
    outcomes = parse(tmp_path, 'id,title\n1,"broken\n2,"fine"\n3,"a "quoted" word"\n4,Mug\n')
    assert kinds(outcomes) == [(2, "record"), (3, ""), (4, "record"), (5, "")]


def test_an_unclosed_quote_on_the_last_line(tmp_path: Path) -> None:
    assert kinds(parse(tmp_path, 'id,title\n1,Mug\n2,"broken')) == [(2, ""), (3, "record")]


def test_the_rest_of_a_broken_cell_is_never_read_as_records(tmp_path: Path) -> None:
    good = "".join(f'{n},"Mug {n}","No. {n}"\n' for n in range(5, 60))
    broken = '1,"Screen","Of 27" with stand\nstand, cable, manual\nblack, white, grey"\n'
    outcomes = parse(tmp_path, f"id,title,text\n{broken}{good}")
    assert kinds(outcomes)[:2] == [(2, "record"), (5, "")]
    assert titles(outcomes) == [f"Mug {n}" for n in range(5, 60)]


def test_the_rest_of_an_unclosed_cell_is_left_out(tmp_path: Path) -> None:
    good = "".join(f'{n},"Mug, {n}","x"\n' for n in range(50))
    broken = '90,"a "b" c\n91,"text ""of\nmany words, here\nand more\nstill more\n'
    outcomes = parse(tmp_path, f"id,title,text\n{good}{broken}{good}")
    assert len(titles(outcomes)) == 100
    assert {outcome.kind for outcome in outcomes if isinstance(outcome, Reject)} == {"resynchronised"}


def test_a_cell_too_long_costs_its_record_whatever_is_in_it(tmp_path: Path) -> None:
    cell = "10,looks like,a record\n" * 60_000
    outcomes = parse(tmp_path, f'id,title,text\n1,Mug,"{cell}"\n2,Cup,fine\n')
    assert kinds(outcomes) == [(2, "record"), (60_003, "")]
    assert isinstance(outcomes[0], Reject)
    assert "longer than" in outcomes[0].reason


def test_a_long_cell_with_lines_like_records_is_one_cell(tmp_path: Path) -> None:
    cell = "10,looks like,a record\n" * 8_000
    outcomes = parse(tmp_path, f'id,title,text\n1,Mug,"{cell}"\n2,Cup,fine\n')
    assert titles(outcomes) == ["Mug", "Cup"]
    assert isinstance(outcomes[0], Record)
    assert outcomes[0].values["text"] == cell


def test_where_nothing_is_certain_lines_are_left_out_and_said_to_be(tmp_path: Path) -> None:
    cell = "10,looks like,a record\n" * 150_000
    outcomes = parse(tmp_path, f'id,title,text\n0,"Pot","x"\n1,Mug,"{cell}')
    assert kinds(outcomes) == [(2, ""), (3, "resynchronised")]


def test_a_quote_that_joins_records_in_silence_is_noticed(tmp_path: Path) -> None:
    good = "".join(f'{n}\t"Mug, {n}"\t{n}\n' for n in range(40))
    outcomes = parse(
        tmp_path, f'id\ttitle\tprice\n{good}a\t"Big mug\t3\nb\tCup\t4\nc\tPot 2"\t4\nd\tJar\t5\n'
    )
    assert kinds(outcomes)[40:] == [(42, "resynchronised"), (45, "")]


def test_time_grows_with_the_length_alone(tmp_path: Path) -> None:
    def seconds(count: int, line: str) -> float:
        text = 'id,title\n0,"Mug, red"\n' + "".join(line.format(n) for n in range(count))
        begin = time.process_time()
        parse(tmp_path, text, ReadOptions(quote='"'))
        return time.process_time() - begin

    for line in ('{},"19"" inch\n', '{},""x\n', '{},"19" inch"\n', '{},"19 inch\n', '{0},19"\n{0},"a\n'):
        seconds(500, line)
        assert seconds(20_000, line) < 60 * max(0.02, seconds(1_000, line)), line


def test_bad_bytes_reject_their_record_only(tmp_path: Path) -> None:
    outcomes = parse(tmp_path, b"id,title\n1,caf\xe9\n2,caf\xc3\xa9\n3,\xc3\xa4\n")
    assert isinstance(outcomes[0], Reject)
    assert outcomes[0].reason == "not UTF-8: byte 0xe9"
    assert titles(outcomes) == ["café", "ä"]


def test_records_of_another_width_are_rejected_unless_empty_cells_differ(tmp_path: Path) -> None:
    outcomes = parse(tmp_path, "id,title,brand\n1,a,b,c\n2,a,b,,\n3,a\n\n,,\n4,a,b\n5,a,\n")
    assert kinds(outcomes) == [(2, "record"), (3, ""), (4, "record"), (7, ""), (8, "")]
    assert isinstance(outcomes[0], Reject)
    assert outcomes[0].reason == "4 cells where the header has 3"


def test_the_rest_of_a_broken_record_is_no_record(tmp_path: Path) -> None:
    head = "sku,title,text,price\nSKU1,a,x,1.00\nSKU2,b,y,2.00\nSKU3,c,z,3.00\n"
    cut = parse(tmp_path, head + 'SKU4,d,"mug ""Pro"\n" cable",4.00\nSKU5,e,z,5.00\n')
    assert titles(cut) == ["a", "b", "c", "e"]
    cut_id = parse(tmp_path, head + "SKU\n4,d,z,4.00\nSKU6,f,z,6.00\n")
    assert titles(cut_id) == ["a", "b", "c", "f"]
    lost_quote = parse(tmp_path, head + 'SKU4,d,10 cable\nmug 5,5\n5,5 m,long,and 1,5 m\nwide",4.00\n')
    assert titles(lost_quote) == ["a", "b", "c"]


def test_a_file_that_leaves_out_empty_cells_at_the_end(tmp_path: Path) -> None:
    outcomes = parse(tmp_path, "id\ttitle\tbrand\tsize\n1\ta\tb\n2\ta\n3\ta\tb\tc\n")
    assert titles(outcomes) == ["a", "a", "a"]
    assert isinstance(outcomes[1], Record)
    assert outcomes[1].values == {"id": "2", "title": "a"}


def test_columns_of_one_name_are_kept_apart(tmp_path: Path) -> None:
    (outcome,) = parse(tmp_path, "id,image,image,image.2,image\n1,a,b,c,d\n")
    assert isinstance(outcome, Record)
    assert outcome.values == {"id": "1", "image": "a", "image.2": "b", "image.2.2": "c", "image.3": "d"}
    (details,) = open_catalogue(tmp_path / "a.csv").details()
    assert details["renamed_columns"] == {"image.2": "image", "image.2.2": "image.2", "image.3": "image"}


def test_a_header_over_two_lines(tmp_path: Path) -> None:
    (outcome,) = parse(tmp_path, 'id,title,"price\n(EUR)",Max_Size\n1,Mug,3.50,L\n')
    assert isinstance(outcome, Record)
    assert (outcome.line, outcome.values) == (
        3,
        {"id": "1", "title": "Mug", "price (EUR)": "3.50", "Max_Size": "L"},
    )


@pytest.mark.parametrize("data", [b",,\n1,2,3\n", b"x" * 131_073 + b",y\n1,2\n"])
def test_a_header_that_is_none(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(CatalogueError, match="line 1 is not a CSV header"):
        parse(tmp_path, data)


def test_an_empty_file_has_no_records(tmp_path: Path) -> None:
    assert parse(tmp_path, b"") == []
    assert open_catalogue(tmp_path / "a.csv").columns() == ()


def test_zero_bytes_and_lone_returns_within_cells(tmp_path: Path) -> None:
    assert titles(parse(tmp_path, "id,title\n1,M\0ug\n2,a\rb\n\0\0\0\n")) == ["Mug", "a b"]


def test_the_text_of_a_cell_without_its_quote_is_no_record(tmp_path: Path) -> None:
    good = "".join(f'{n},"Mug, {n}","a ""fine"" one"\n' for n in range(50))
    broken = '90,red mug,cable\nmanual, white, grey\nstand, black, grey"\n'
    outcomes = parse(tmp_path, f"id,title,text\n{good}{broken}{good}")
    assert titles(outcomes)[50] == "red mug"
    assert len(titles(outcomes)) == 101
    assert kinds(outcomes)[51:53] == [(53, "record"), (54, "record")]


def test_blanks_behind_every_delimiter_are_a_habit_of_some_files(tmp_path: Path) -> None:
    assert titles(parse(tmp_path, "id,title,price\n1, Mug, 3\n2, Cup, 4\n")) == [" Mug", " Cup"]

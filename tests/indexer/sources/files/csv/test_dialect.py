from pathlib import Path

import pytest

from indexer.catalogue.records import Record
from indexer.sources.files import ReadOptions, open_catalogue, parse_read_options
from mappings.errors import SettingsError


def read(tmp_path: Path, text: str, options: ReadOptions | None = None) -> list[dict[str, object]]:
    (tmp_path / "a.txt").write_bytes(text.encode())
    outcomes = list(open_catalogue(tmp_path / "a.txt", options).records())
    assert all(isinstance(outcome, Record) for outcome in outcomes), outcomes
    return [dict(outcome.values) for outcome in outcomes if isinstance(outcome, Record)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "^", "~"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_the_delimiter_is_found(tmp_path: Path, delimiter: str, ends: str) -> None:
    text = "\ufeffid,title,price\n1,Mug,2\n".replace(",", delimiter).replace("\n", ends)
    assert read(tmp_path, text) == [{"id": "1", "title": "Mug", "price": "2"}]


def test_the_delimiter_is_not_the_most_frequent_character(tmp_path: Path) -> None:
    text = "id;Titel, kurz und lang;Preis\n" + "1;Becher, blau, 0,3 l;3,50\n2;Tasse;4,00\n"
    assert read(tmp_path, text)[1] == {"id": "2", "Titel, kurz und lang": "Tasse", "Preis": "4,00"}


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "SEP=;", "\ufeffsep=;"])
def test_a_line_that_names_the_delimiter_is_no_header(tmp_path: Path, first: str) -> None:
    assert read(tmp_path, f"{first}\r\nid;a,b\r\n1;3,5\r\n") == [{"id": "1", "a,b": "3,5"}]


def test_quotes_escaped_by_backslashes_as_php_writes_them(tmp_path: Path) -> None:
    text = (
        'id,title,text\n11,"Curved monitor","<p>Of 27\\" with stand</p>\n<p>stand, cable, manual</p>"\n'
        '12,"Path C:\\new","a ""doubled"" one"\n'
    )
    assert read(tmp_path, text) == [
        {
            "id": "11",
            "title": "Curved monitor",
            "text": '<p>Of 27" with stand</p>\n<p>stand, cable, manual</p>',
        },
        {"id": "12", "title": "Path C:\\new", "text": 'a "doubled" one'},
    ]


def test_a_backslash_before_a_closing_quote_escapes_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, 'id,title\n1,"C:\\"\n2,"D:\\"\n')[0]["title"] == "C:\\"


def test_blanks_behind_delimiters(tmp_path: Path) -> None:
    assert read(tmp_path, 'id, title, price\n1, "Mug, large", 3\n') == [
        {"id": "1", "title": "Mug, large", "price": "3"}
    ]


def test_single_quotes(tmp_path: Path) -> None:
    assert read(tmp_path, "'id','title'\n'1','Mug, large'\n'2','It''s'\n")[1] == {"id": "2", "title": "It's"}


def test_apostrophes_are_no_quotes(tmp_path: Path) -> None:
    text = "id,title,price\n1,'90s mug,2\n2,\"Mug, large\",3\n3,'tis',4\n" + '4,"Cup, small",3\n' * 9
    assert [record["title"] for record in read(tmp_path, text)][:3] == ["'90s mug", "Mug, large", "'tis'"]


def test_quotes_that_are_plain_characters(tmp_path: Path) -> None:
    text = 'id\ttitle\tprice\n1\t"Big mug\t3\n2\tCup\t4\n3\tMug 5"\t4\n4\t"Nice" mug\t3\n5\tJar\t1\n'
    assert [record["title"] for record in read(tmp_path, text)] == [
        '"Big mug',
        "Cup",
        'Mug 5"',
        '"Nice" mug',
        "Jar",
    ]


def test_quotes_around_cells_of_several_lines_in_a_tsv(tmp_path: Path) -> None:
    text = 'id\ttitle\ttext\n1\tMug\t"Of clay\nwith a handle"\n2\tCup\t"small, ""fine"""\n'
    assert [record["text"] for record in read(tmp_path, text)] == ["Of clay\nwith a handle", 'small, "fine"']


def test_one_column(tmp_path: Path) -> None:
    assert read(tmp_path, "id\n1\n2\n") == [{"id": "1"}, {"id": "2"}]


def test_the_dialect_can_be_given(tmp_path: Path) -> None:
    options = parse_read_options("delimiter=: quote=none encoding=latin-1")
    assert options == ReadOptions("iso8859-1", ":", "", None)
    assert read(tmp_path, 'id:title,x\n1:"Mug\n', options) == [{"id": "1", "title,x": '"Mug'}]
    assert parse_read_options("delimiter=tab escape=backslash").delimiter == "\t"


@pytest.mark.parametrize(
    "text", ["delimiter", "colour=red", "delimiter=ab", "encoding=klingon", "delimiter=none"]
)
def test_options_that_are_wrong(text: str) -> None:
    with pytest.raises(SettingsError, match="--read-as"):
        parse_read_options(text)


def test_how_a_file_is_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("id;title\r\n1;Größe\r\n".encode("cp1252"))
    assert open_catalogue(tmp_path / "a.csv").details() == [
        {
            "file": str(tmp_path / "a.csv"),
            "format": "CSV",
            "encoding": "cp1252",
            "line_ends": "CRLF",
            "delimiter": ";",
            "quote": '"',
            "escape": "",
            "preamble_lines": 0,
        }
    ]

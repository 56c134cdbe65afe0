import codecs
from pathlib import Path

import pytest

from indexer.catalogue.records import Record, Reject
from indexer.sources.files import ReadOptions, open_catalogue
from indexer.sources.files.encodings import detect_encoding
from mappings.errors import CatalogueError

GERMAN = "id;title;brand;price\n1;Größe L Jacke;Föhn;129,00 €\n2;Mütze;Föhn;19,90 €\n"
CHINESE = "编号,标题,描述\n1,男士休闲裤,纯棉面料，舒适透气。\n2,Mug,\n"
TAIWANESE = "編號,標題,描述\n1,男士休閒褲,純棉面料，舒適透氣。\n2,Mug,\n"
JAPANESE = "商品ID,商品名,価格\n1,陶器のマグカップ,1200\n2,東京限定 湯呑み,900\n"
TEXTS = [
    ("cp1252", GERMAN),
    ("cp1252", "id,title\n1,Café crème\n2,Mug\n3,Pâté\n"),
    ("cp1252", "id,title\n1,Mug – large\n2,Joe’s cup\n"),
    ("cp1252", "id,title\n1,25°C thermometer\n2,½ inch\n"),
    ("cp1252", "id,title\n1,Señor año\n2,Brand® Mug™\n"),
    ("cp1252", "id,title\n1,Très élégant vêtement, où l’été\n"),
    ("cp1252", "id,title\n1,blåbær på fløte\n2,Ação não\n"),
    ("gb18030", CHINESE),
    ("gb18030", "id,title\n1,蓝牙耳机\n2,Mug\n"),
    ("cp950", TAIWANESE),
    ("cp932", JAPANESE),
    ("cp932", "id,title\n1,ﾏｳｽ\n2,Mug\n3,青いカップ\n"),
    ("euc_jp", JAPANESE),
    ("cp949", "id,title\n1,무선 마우스\n2,기계식 키보드\n"),
    ("cp1250", "id,title\n1,Żółta łódź\n2,Kubek świąteczny\n"),
    ("cp1250", "id,title\n1,Příliš žluťoučký kůň\n2,Dětské šaty\n"),
    ("cp1251", "id,title\n1,Беспроводная мышь\n2,Кружка\n"),
    ("mac_roman", "id,title\r1,Größe L\r2,Mütze Föhn\r"),
    ("utf-16-le", GERMAN),
    ("utf-16-be", GERMAN),
    ("utf-16-le", CHINESE),
    ("utf-16-be", JAPANESE),
    ("utf-8", GERMAN),
    ("utf-8", CHINESE),
    ("utf-8", "id,title\n1,Mug\n"),
]


@pytest.mark.parametrize(("encoding", "text"), TEXTS)
def test_encodings_are_found(encoding: str, text: str) -> None:
    assert detect_encoding(text.encode(encoding)) == (encoding, 0)


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
    ],
)
@pytest.mark.parametrize("form", ["csv", "jsonl", "json", "xml"])
def test_marked_texts_are_read_in_every_format(tmp_path: Path, mark: bytes, encoding: str, form: str) -> None:
    text = {
        "csv": "id;title\r\n1;Größe 陶\r\n",
        "jsonl": '{"id": "1", "title": "Größe 陶"}\n',
        "json": '[\n{"id": "1", "title": "Größe 陶"}\n]',
        "xml": "<?xml version='1.0'?><a><item><id>1</id><title>Größe 陶</title></item></a>",
    }[form]
    (tmp_path / "a").write_bytes(mark + text.encode(encoding))
    (record,) = open_catalogue(tmp_path / "a").records()
    assert isinstance(record, Record)
    assert record.values == {"id": "1", "title": "Größe 陶"}


def test_a_late_character_decides(tmp_path: Path) -> None:
    lines = "".join(f"{n},Mug {n}\n" for n in range(100_000))
    (tmp_path / "a.csv").write_bytes(f"id,title\n{lines}x,Größe\n".encode("cp1252"))
    assert [
        record.values["title"]
        for record in open_catalogue(tmp_path / "a.csv").records()
        if isinstance(record, Record)
    ][-1] == "Größe"


def test_a_late_byte_that_is_not_of_the_encoding_costs_its_record(tmp_path: Path) -> None:
    lines = "".join(f"{n},Größe {n}\n" for n in range(60_000))
    (tmp_path / "a.csv").write_bytes(f"id,title\n{lines}".encode() + b"x,Gr\xf6\xdfe\ny,Mug\n")
    *_, broken, last = open_catalogue(tmp_path / "a.csv").records()
    assert isinstance(broken, Reject)
    assert (broken.line, broken.reason) == (60_002, "not UTF-8: byte 0xf6")
    assert isinstance(last, Record)


def test_half_a_utf16_character_costs_its_record(tmp_path: Path) -> None:
    data = (
        codecs.BOM_UTF16_LE
        + "id,title\n1,a".encode("utf-16-le")
        + b"\x00\xd8"
        + "b\n2,ö\n".encode("utf-16-le")
    )
    (tmp_path / "a.csv").write_bytes(data)
    broken, good = open_catalogue(tmp_path / "a.csv").records()
    assert isinstance(broken, Reject)
    assert isinstance(good, Record)


def test_the_encoding_can_be_given(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("id,title\n1,Größe\n".encode("cp850"))
    (record,) = open_catalogue(tmp_path / "a.csv", ReadOptions(encoding="cp850")).records()
    assert isinstance(record, Record)
    assert record.values["title"] == "Größe"


def test_an_xml_declaration_names_the_encoding(tmp_path: Path) -> None:
    text = '<?xml version="1.0" encoding="gb2312"?><a><item><id>1</id><title>蓝牙耳机</title></item></a>'
    (tmp_path / "a.xml").write_bytes(text.encode("gb2312"))
    (record,) = open_catalogue(tmp_path / "a.xml").records()
    assert isinstance(record, Record)
    assert record.values["title"] == "蓝牙耳机"


def test_bytes_of_no_encoding_say_how_to_name_one(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"id,title\n" + bytes(range(1, 256)) * 20)
    with pytest.raises(CatalogueError, match="--read-as"):
        open_catalogue(tmp_path / "a.csv").columns()

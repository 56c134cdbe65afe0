import time
import tracemalloc
from pathlib import Path

import pytest

from indexer.catalogue.records import Record
from indexer.sources.files import open_catalogue
from mappings.errors import CatalogueError


def read(tmp_path: Path, text: str) -> list[dict[str, object]]:
    (tmp_path / "a.xml").write_text(text, encoding="utf-8")
    outcomes = list(open_catalogue(tmp_path / "a.xml").records())
    assert [outcome.line for outcome in outcomes] == list(range(1, len(outcomes) + 1))
    return [dict(outcome.values) for outcome in outcomes if isinstance(outcome, Record)]


def test_google_merchant_as_rss(tmp_path: Path) -> None:
    text = """<?xml version="1.0"?>
<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel><title>Shop</title><link>https://shop.example</link>
<item><g:id>1</g:id><title>Mug</title><g:title>Large mug</g:title><g:price>3.00 EUR</g:price>
<g:additional_image_link>a.jpg</g:additional_image_link><g:additional_image_link>b.jpg</g:additional_image_link>
<g:shipping><g:country>DE</g:country><g:price>4 EUR</g:price></g:shipping></item></channel></rss>"""
    assert read(tmp_path, text) == [
        {
            "id": "1",
            "title": "Mug",
            "g:title": "Large mug",
            "price": "3.00 EUR",
            "additional_image_link": ["a.jpg", "b.jpg"],
            "shipping": {"country": "DE", "price": "4 EUR"},
        }
    ]


def test_atom(tmp_path: Path) -> None:
    text = """<feed xmlns="http://www.w3.org/2005/Atom" xmlns:g="http://base.google.com/ns/1.0"><title>Shop</title>
<entry><g:id>1</g:id><title>Mug</title><link href="https://shop.example/1"/></entry>
<entry><g:id>2</g:id><title>Cup</title><link href="https://shop.example/2"/></entry></feed>"""
    assert [(record["id"], record["link"]) for record in read(tmp_path, text)] == [
        ("1", "https://shop.example/1"),
        ("2", "https://shop.example/2"),
    ]


def test_any_list_of_products(tmp_path: Path) -> None:
    text = """<shop><name>x</name>
<categories><category id="7">Mugs</category><category id="8">Cups</category></categories>
<offers><offer id="1" available="true"><name>Mug</name><price currency="EUR">3</price>
<param name="Colour">Red</param><param name="Size">L</param>
<pictures><picture>a.jpg</picture><picture>b.jpg</picture></pictures></offer>
<offer id="2" available="false"><name>Cup &amp; saucer</name>
<description><![CDATA[<b>Fine</b>]]></description></offer>
</offers></shop>"""
    assert read(tmp_path, text) == [
        {
            "id": "1",
            "available": "true",
            "name": "Mug",
            "price": "3",
            "price.currency": "EUR",
            "param": {"Colour": "Red", "Size": "L"},
            "pictures": ["a.jpg", "b.jpg"],
        },
        {"id": "2", "available": "false", "name": "Cup & saucer", "description": "<b>Fine</b>"},
    ]


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE a [<!ENTITY x "y">]><a><item><id>&x;</id></item></a>',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a><item><id>&x;</id></item></a>',
    ],
)
def test_entities_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(CatalogueError, match="entities"):
        read(tmp_path, text)


@pytest.mark.parametrize(
    "text", ["<a><item><id>1</id></item>", "<a><item><id>1</b></item></a>", "<a/>", "<a>x</a>"]
)
def test_what_is_not_well_formed_or_has_no_products(tmp_path: Path, text: str) -> None:
    with pytest.raises(CatalogueError):
        read(tmp_path, text)


def test_characters_that_xml_forbids_are_left_out(tmp_path: Path) -> None:
    assert read(tmp_path, "<a><item><id>1</id><title>M\x0bu\x00g</title></item></a>") == [
        {"id": "1", "title": "Mug"}
    ]


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    item = f"<item><id>1</id><text>{'x' * 1000}</text></item><other>{'y' * 100}</other>\n"
    (tmp_path / "a.xml").write_text(f"<a>{item * 10_000}</a>")
    tracemalloc.start()
    assert sum(1 for _ in open_catalogue(tmp_path / "a.xml").records()) == 10_000
    assert tracemalloc.get_traced_memory()[1] < 8_000_000
    tracemalloc.stop()


def test_an_element_nested_too_deep_costs_its_record(tmp_path: Path) -> None:
    deep = "<b>" * 5_000 + "x" + "</b>" * 5_000
    records = read(tmp_path, f"<a><item><id>1</id>{deep}</item><item><id>2</id></item></a>")
    assert records == [{"id": "2"}]


def test_an_element_without_an_end_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text("<a><item><id>1</id></item><item>" + f"<x>{'y' * 1000}</x>" * 16_000)
    with pytest.raises(CatalogueError, match="longer than"):
        list(open_catalogue(tmp_path / "a.xml").records())


def test_elements_nested_by_the_thousand_take_no_time(tmp_path: Path) -> None:
    path = tmp_path / "deep.xml"
    path.write_bytes(b"<a><b>" * 20_000)
    began = time.process_time()
    with pytest.raises(CatalogueError, match="not well-formed"):
        list(open_catalogue(path).records())
    assert time.process_time() - began < 20  # of this process alone; by the square it was minutes

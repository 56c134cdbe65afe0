from datetime import UTC, datetime

import pytest

from indexer.catalogue.availability import has_ended, parse_available, parse_for_sale
from indexer.catalogue.values import BadValue

AVAILABLE = """
true|YES|1|12|in stock|In_Stock|InStock|https://schema.org/InStock|http://schema.org/LimitedAvailability
OnlineOnly|PreOrder|BackOrder|MadeToOrder|preorder|backorder|onbackorder|available for order|low stock
In Stock.|Only 3 left in stock - order soon.|Usually ships within 2 to 3 days|Ships in 3 days|in 3 days
24h|2026-12-24|>100|10+|<5|5-10|1,200|12.000|1.000+|3 pcs|more than 10
auf Lager|sofort lieferbar|ja|lieferbar ab 24.12.2026|Lieferzeit 2-3 Tage|in 3 Tagen lieferbar
nur noch 3 Stück|en stock|oui|disponible sous 3 jours|expédié sous 24h|sur commande
en existencias|sí|disponible|bajo pedido|entrega en 24 horas
disponibile|in magazzino|sì|spedizione in 3 giorni
op voorraad|direct leverbaar|levertijd 2 dagen|beschikbaar
dostępny|w magazynie|tak|na zamówienie|wysyłka w 24 godziny|10 szt.
有货|现货|預售|3天内发货|在庫あり|残り3点|予約受付中|お取り寄せ|2日以内に発送
"""

UNAVAILABLE = """
false|no|0|-2|0.0|<1|out of stock|OutOfStock|http://schema.org/OutOfStock|SoldOut|Discontinued
sold out|outofstock|Currently unavailable.|Temporarily out of stock|coming soon|0 in stock
nicht lieferbar|ausverkauft|nein|derzeit nicht verfügbar|vergriffen
en rupture de stock|épuisé|indisponible|non|agotado|sin stock|no disponible
non disponibile|esaurito|uitverkocht|niet op voorraad|nee
niedostępny|brak w magazynie|wyprzedany|nie
无货|缺货|售罄|在庫なし|売り切れ|完売|入荷待ち|在庫切れ
"""


def words(text: str) -> list[str]:
    return [word for line in text.strip().splitlines() for word in line.split("|")]


@pytest.mark.parametrize("cell", [*words(AVAILABLE), True, 3, 0.5, {"available": True}, [False, "in stock"]])
def test_what_can_be_bought(cell: object) -> None:
    assert parse_available(cell) is True


@pytest.mark.parametrize("cell", ["WAHR", "✓", "Solo 3 rimasti", "库存 12", "Ready for pickup", "Lagerware"])
def test_more_of_what_can_be_bought(cell: str) -> None:
    assert parse_available(cell) is True


@pytest.mark.parametrize(
    "cell",
    [
        "FALSCH",
        "✗",
        "Bientôt disponible",
        "Plus en stock",
        "Non più disponibile",
        "Notify me when available",
        "Backorder not allowed",
        "End of life",
        "Próximamente",
    ],
)
def test_more_of_what_can_not_be_bought(cell: str) -> None:
    assert parse_available(cell) is False


@pytest.mark.parametrize("cell", [*words(UNAVAILABLE), False, 0, -3, {"quantity": 0}, ["no"]])
def test_what_can_not_be_bought(cell: object) -> None:
    assert parse_available(cell) is False


@pytest.mark.parametrize("cell", ["", "  ", "-", "N/A", None, float("nan"), []])
def test_an_empty_availability(cell: object) -> None:
    assert parse_available(cell) is None


@pytest.mark.parametrize("cell", ["perhaps", "on request", "check in store", b"x", {"a": 1}])
def test_what_is_not_an_availability(cell: object) -> None:
    with pytest.raises(BadValue, match="available"):
        parse_available(cell)


@pytest.mark.parametrize(
    "cell",
    [
        "active",
        "Published",
        "TRUE",
        "1",
        1,
        True,
        "visible",
        "Catalog, Search",
        "aktiv",
        "publié",
        "上架",
        "公開",
    ],
)
def test_what_is_for_sale(cell: object) -> None:
    assert parse_for_sale(cell) is True


@pytest.mark.parametrize(
    "cell",
    ["draft", "archived", "hidden", "false", "0", "-1", 0, -1, False, "Not Visible Individually", "disabled",
    "private",
     "Entwurf", "archivé", "borrador", "nascosto", "verborgen", "ukryty", "下架", "非公開"],
)  # fmt: skip
def test_what_is_not_for_sale(cell: object) -> None:
    assert parse_for_sale(cell) is False


def test_a_status_that_is_empty_or_not_known() -> None:
    assert parse_for_sale("") is parse_for_sale(None) is None
    with pytest.raises(BadValue, match="status 'shiny' is not known"):
        parse_for_sale("shiny")


@pytest.mark.parametrize(
    ("cell", "ended"),
    [
        ("2026-05-31", True),
        ("2026-06-01", False),
        ("2026-06-01T11:00:00Z", True),
        ("2026-06-01T13:00", False),
        ("", False),
    ],
)
def test_the_last_day_of_sale(cell: str, ended: bool) -> None:
    assert has_ended(cell, datetime(2026, 6, 1, 12, tzinfo=UTC)) is ended

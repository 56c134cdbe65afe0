from pathlib import Path

import pytest

from mappings.errors import LabelsError
from plugin_api.commands.shoppers.event_files import OrderColumns, read_event_files

COLUMNS = OrderColumns("customer", "sku", "order", "bought_at")


def test_rows_of_orders_become_purchases(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text("customer;order;sku;bought_at\n7;A1;tea;2026-05-01\n7;A1;milk;2026-05-01\n")
    rows = list(read_event_files([path], COLUMNS))
    assert [where for where, _ in rows] == [f"{path} line 2", f"{path} line 3"]
    assert rows[0][1] == {
        "action_name": "purchase",
        "user_id": "7",
        "timestamp": "2026-05-01",
        "event_attributes": {"object": {"object_id": "tea"}, "order_id": "A1"},
        "event_id": "A1/tea",
    }


def test_ubi_documents_come_as_they_are_also_out_of_bulk_files(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"index": {}}\n{"action_name": "click"}\n{"_source": {"action_name": "view"}}\n')
    assert [document["action_name"] for _, document in read_event_files([path], None)] == ["click", "view"]


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text("customer,sku\n7,tea\n")
    with pytest.raises(LabelsError, match="no column 'bought_at'"):
        list(read_event_files([path], COLUMNS))

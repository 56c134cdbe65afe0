import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from mappings.errors import LabelsError
from plugin_api.cli import attune
from reranker.risk.cash_flow import CASH_FLOW_FEATURES
from reranker.risk.scorer import RiskInputs, RiskScorer


def run(*arguments: object) -> str:
    result = CliRunner().invoke(attune, ["risk", *map(str, arguments)])
    if result.exception:
        raise result.exception
    return result.output


@pytest.fixture
def people(tmp_path: Path) -> Path:
    rows = ["person;date;amount;text"]
    for month in range(1, 7):
        rows += [f"ann;2026-{month:02d}-01;2000;salary", f"ann;2026-{month:02d}-09;-1200;rent"]
        rows += [f"bob;2026-{month:02d}-01;{900 * (month % 3)};job", f"bob;2026-{month:02d}-12;-950;loan"]
    bookings = tmp_path / "bookings.csv"
    bookings.write_text("\n".join([*rows, "eve;2026-01-01;5;"]) + "\n", encoding="utf-8")
    out = tmp_path / "people.csv"
    assert (
        "eve is left out"
        in CliRunner().invoke(attune, ["risk", "features", str(bookings), "--out", str(out)]).output
    )
    return out


def test_bookings_become_features_a_person(people: Path) -> None:
    head, *rows = people.read_text(encoding="utf-8").splitlines()
    assert head == ",".join(("person", *CASH_FLOW_FEATURES))
    assert [row.split(",")[0] for row in rows] == ["ann", "bob"]
    ann, bob = (dict(zip(CASH_FLOW_FEATURES, map(float, row.split(",")[1:]), strict=True)) for row in rows)
    assert ann["savings_rate"] == 0.4
    assert bob["debt_service"] > 1


def test_people_are_assessed_with_reasons_that_add_up(people: Path, tmp_path: Path) -> None:
    size = len(CASH_FLOW_FEATURES)
    inputs = RiskInputs(np.zeros(size), np.ones(size), np.tile(np.linspace(-2, 2, 5), (size, 1)))
    hidden = np.zeros((2 * size, 128))
    hidden[CASH_FLOW_FEATURES.index("debt_service"), 0] = 2
    model = RiskScorer(CASH_FLOW_FEATURES, inputs, hidden, np.zeros(128), np.ones(128), -2.0)
    model.save(tmp_path / "risk.npz")
    lines = run("assess", people, "--model", tmp_path / "risk.npz", "--json").splitlines()
    ann, bob = map(json.loads, lines)
    assert (ann["person"], ann["risk_class"], bob["risk_class"]) == ("ann", 5, 7)
    for one in (ann, bob):
        odds = one["average"] + sum(one["reasons"].values())
        assert one["probability"] == pytest.approx(1 / (1 + np.exp(-odds)), abs=1e-3)
    assert "not the decision" in run("assess", people, "--model", tmp_path / "risk.npz")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("date,amount\n2026-13-01,4\n", "line 2"),
        ("date,amount\n2026-01-01,much\n", "not a number"),
        ("a\n1\n", "needs a date"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bookings.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(LabelsError, match=message):
        run("features", path)

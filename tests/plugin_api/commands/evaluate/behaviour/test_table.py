import json
import math
from pathlib import Path

import pytest

from mappings.errors import EvaluationError
from plugin_api.commands.evaluate.behaviour.evaluation import BehaviourEvaluation, BehaviourPart
from plugin_api.commands.evaluate.behaviour.report import write_behaviour_report
from plugin_api.commands.evaluate.behaviour.table import print_behaviour, tabulate_behaviour
from reranker.behaviour.evaluation.ranking_values import MEASURES_OF_ORDERS, RankingFigures
from reranker.evaluation.interval import Interval
from reranker.evaluation.significance import PairedComparison


def _figures(recall: float, compared: PairedComparison | None = None) -> RankingFigures:
    means = {name: Interval(recall, -math.inf, math.inf) for name in MEASURES_OF_ORDERS}
    return RankingFigures(means, 1, 20, 0.5, 9.25, None, compared)


@pytest.fixture
def evaluation() -> BehaviourEvaluation:
    better = PairedComparison(Interval(0.1, 0.05, 0.15), 0.001, 0.002, 3, 1, 0, {})
    figures = {"Attune": _figures(0.4), "<popularity>": _figures(0.3, better)}
    part = BehaviourPart("by time, all", "12 orders: whole orders", figures)
    return BehaviourEvaluation("Recommendations for shop", {"purchases": 1200}, (part,), ("a note",))


def test_json_has_every_figure_and_null_for_what_is_not_known(evaluation: BehaviourEvaluation) -> None:
    table = json.loads(json.dumps(tabulate_behaviour(evaluation), allow_nan=False))
    attune, popularity = table["parts"][0]["rankings"]
    assert attune["measures"]["recall"] == {"mean": 0.4, "low": None, "high": None}
    assert (attune["diversity"], attune["first_less_this"], attune["coverage"]) == (None, None, 0.5)
    assert popularity["first_less_this"] == {"mean": 0.1, "low": 0.05, "high": 0.15, "p_holm": 0.002}


def test_the_terminal_shows_rankings_comparisons_and_notes(
    evaluation: BehaviourEvaluation, capsys: pytest.CaptureFixture[str]
) -> None:
    print_behaviour(evaluation)
    shown = capsys.readouterr().out
    for part in ("1,200 purchases", "by time, all", "<popularity>", "+0.1000", "+0.050 +0.150", "a note"):
        assert part in shown


def test_the_report_is_one_file_with_its_plots(evaluation: BehaviourEvaluation, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_behaviour_report(evaluation, path)
    html = path.read_text(encoding="utf-8")
    assert "&lt;popularity&gt;" in html
    assert "<svg" in html
    assert "<script" not in html
    assert "--first:" in html
    with pytest.raises(EvaluationError, match="can't be written"):
        write_behaviour_report(evaluation, tmp_path / "no-such-folder" / "report.html")

"""The plans of the shipped weights read what is in the repository, and packages."""

from pathlib import Path

import pytest

pytest.importorskip("torch")

from plugin_api.commands.train.chinese_weights import plan_chinese_weights
from plugin_api.commands.train.weights import plan_weights


def test_the_english_weights_are_made_from_the_repositorys_data(tmp_path: Path) -> None:
    plan = plan_weights(tmp_path)
    plan.check()
    assert (len(plan.products), len(plan.judgements), len(plan.pairs)) == (19_406, 1_936, 1_360)
    assert len(plan.others) > 5_000
    assert {judgement.product_id for judgement in plan.judgements} <= {p.id for p in plan.products}


def test_the_chinese_weights_are_made_from_words_of_the_repository(tmp_path: Path) -> None:
    pytest.importorskip("jieba")
    plan = plan_chinese_weights(tmp_path, teacher=tmp_path)
    plan.check()
    assert (len(plan.products), len(plan.others)) == (14_000, 1_500)
    assert len({judgement.query for judgement in plan.judgements}) > 250
    assert {judgement.product_id for judgement in plan.judgements} <= {p.id for p in plan.products}

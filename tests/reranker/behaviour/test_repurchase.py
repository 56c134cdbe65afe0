import numpy as np
import pytest

from reranker.behaviour.purchases import Purchase, build_purchase_log
from reranker.behaviour.repurchase import fit_kernels


def test_a_weekly_product_is_due_after_a_week_and_a_yearly_one_is_not() -> None:
    rows = [Purchase(f"s{s}", "milk", str(w), w * 7.0) for s in range(40) for w in range(30)]
    rows += [Purchase(f"s{s}", "lamp", "x", 5.0) for s in range(40)]
    log = build_purchase_log(rows)
    types = ["dairy" if product == "milk" else "light" for product in log.product_ids]
    kernels = fit_kernels(log, types, 215)
    days = np.array([2.0, 7.0])
    early, due = kernels.rate(["dairy", "dairy"], days)
    assert due > 5 * early
    assert kernels.rate(["light"], days[1:])[0] < due / 3


def test_an_unknown_type_has_the_kernel_of_all() -> None:
    log = build_purchase_log([Purchase("a", "milk", str(w), w * 7.0) for w in range(30)])
    kernels = fit_kernels(log, ["dairy"], 215)
    ages = np.array([7.0])
    assert kernels.rate(["unheard of"], ages) == pytest.approx(kernels.rates[0, 6])


def test_a_rate_is_events_over_the_days_waited() -> None:
    rows = [Purchase(f"s{s}", "milk", f"{s}-{w}", w * 7.0) for s in range(400) for w in range(10)]
    kernels = fit_kernels(build_purchase_log(rows), ["dairy"], 70)
    early, due = kernels.rate(["dairy", "dairy"], np.array([5.0, 6.0]))
    assert early == pytest.approx(0, abs=0.01)
    assert due == pytest.approx(3_600 / 4_000, rel=0.01)  # no wait goes on after day 7

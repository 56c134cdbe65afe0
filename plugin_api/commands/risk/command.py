"""`attune risk`: assess people by their cash flow or other numbers."""

import csv
import json
import sys
from contextlib import nullcontext
from dataclasses import astuple
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mappings.errors import AttuneError, LabelsError
from plugin_api.commands.risk.people import read_people, read_transactions
from plugin_api.terminal import format_count
from reranker.risk.cash_flow import CASH_FLOW_FEATURES, measure_cash_flow
from reranker.risk.scorer import classify_risk, load_risk_scorer

_REASONS = 3
_NOTICE = "A probability supports a decision and its reasons; it is not the decision."

_file = click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
_person = click.option(
    "--person", default="person", show_default=True, help="Column with the person's name or number."
)
_model = click.Path(path_type=Path, dir_okay=False)


@click.group()
def risk() -> None:
    """Estimate people's risk from their cash flow, with reasons.

    \b
    attune risk features transactions.csv --out people.csv
    attune risk train people.csv --outcome defaulted --out risk.npz
    attune risk assess people.csv --model risk.npz

    Files are CSV, JSON Lines, Excel or Parquet. Nothing of them is stored or logged.
    """


@risk.command()
@_file
@_person
@click.option("--opening", default=0.0, help="Balance before the first booking.")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="CSV file. Default: standard output."
)
def features(file: Path, person: str, opening: float, out: Path | None) -> None:
    """Turn bookings in FILE (date, amount, text, person) into a row of features a person."""
    rows = []
    for name, transactions in read_transactions(file, person).items():
        try:
            rows.append(
                (name, *(round(value, 6) for value in astuple(measure_cash_flow(transactions, opening))))
            )
        except ValueError as error:
            click.echo(f"attune: {name} is left out: {error}", err=True)
    if not rows:
        raise LabelsError(f"{file}: nobody has enough transactions")
    with out.open("w", encoding="utf-8", newline="") if out else nullcontext(sys.stdout) as target:
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow(("person", *CASH_FLOW_FEATURES))
        writer.writerows(rows)
    if out:
        click.echo(f"Wrote {format_count(len(rows), 'person', 'people')} to {out}.")


@risk.command("train")
@_file
@_person
@click.option("--outcome", required=True, help="Column that is 1 or yes where what is feared has happened.")
@click.option(
    "--columns", default="", help="Columns to learn from, separated by commas. Default: all with numbers."
)
@click.option("--out", type=_model, required=True, help="File of the model to write (.npz).")
def learn(file: Path, person: str, outcome: str, columns: str, out: Path) -> None:
    """Learn from people in FILE whose outcome is known."""
    try:
        from reranker.training.risk.trainer import train_risk_scorer
    except ImportError as error:
        raise AttuneError("training needs torch: pip install 'attune[train]'") from error
    chosen = [name.strip() for name in columns.split(",") if name.strip()]
    people = read_people(file, person, chosen, left_out=outcome)
    known = read_people(file, person, [outcome]).numbers[:, 0]
    if not np.isin(known, (0.0, 1.0)).all():
        raise LabelsError(f"{file}: the column {outcome} must be 1 or 0, yes or no, in every row")
    scorer = train_risk_scorer(people.columns, people.numbers, known)
    scorer.save(out)
    click.echo(
        f"Learnt from {format_count(len(known), 'person', 'people')}, {int(known.sum()):,} of them with "
        f"{outcome}, by {', '.join(people.columns)}. Wrote {out}."
    )


@risk.command()
@_file
@_person
@click.option("--model", type=_model, required=True, help="Model that `attune risk train` wrote.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a person, with all reasons.")
def assess(file: Path, person: str, model: Path, as_json: bool) -> None:
    """Print probability, risk class (1 to 7) and reasons of each person in FILE."""
    scorer = load_risk_scorer(model)
    people = read_people(file, person, scorer.features)
    table = Table("person", "probability", "class", "most of the reasons, in log-odds", box=None)
    for name, values in zip(people.names, people.numbers, strict=True):
        base, added = scorer.explain(values)
        odds = base + float(added.sum())
        probability = float(1 / (1 + np.exp(-odds)))
        reasons = sorted(zip(scorer.features, added.tolist(), strict=True), key=lambda pair: -abs(pair[1]))
        shown: dict[str, Any] = {"person": name, "probability": round(probability, 4)}
        shown["risk_class"] = classify_risk(probability)
        if as_json:
            parts = {feature: round(value, 4) for feature, value in reasons}
            click.echo(json.dumps({**shown, "average": round(base, 4), "reasons": parts}, ensure_ascii=False))
            continue
        said = ", ".join(f"{feature} {value:+.2f}" for feature, value in reasons[:_REASONS])
        table.add_row(Text(name), f"{probability:.3f}", str(shown["risk_class"]), Text(said))
    if not as_json:
        Console().print(table)
        click.echo(_NOTICE)

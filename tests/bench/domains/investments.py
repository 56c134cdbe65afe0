"""Makes the finance domain's catalogue: `python -m tests.bench.domains.investments`.

Every product is made up, and so are the providers. The same lines come out each time.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mappings.domains

CATALOGUE = Path(mappings.domains.__file__).parent / "finance" / "products.jsonl"

PROVIDERS = (
    ("Alder Bank", "桤木银行"), ("Brightwater", "明水资产"), ("Cedar & Hill", "雪松投资"),
    ("Delphin Capital", "海豚资本"), ("Elmstone", "榆石基金"), ("Fernwood Trust", "蕨林信托"),
)  # fmt: skip
"""Made-up providers, in English and Chinese."""

_TEXTS = ("name", "name_zh", "category", "sector", "words", "words_zh")

RISKS = (
    "", "very low risk", "low risk", "moderately low risk", "medium risk", "moderately high risk",
    "high risk", "very high risk",
)  # fmt: skip
RISKS_ZH = ("", "极低风险", "低风险", "中低风险", "中等风险", "中高风险", "高风险", "极高风险")


@dataclass(frozen=True)
class Kind:
    """A kind of product: names and words in both languages, and what its figures are made from."""

    name: str
    name_zh: str
    category: str
    sector: str
    risk: int
    years: int
    cost: float
    words: str
    words_zh: str
    spread: int
    minimum: int


def _read_kinds() -> Iterator[Kind]:
    """Yield what funds, exchange traded funds and notes there are, from the table beside this module."""
    with Path(__file__).with_name("investments.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="|"):
            texts = {name: row[name] for name in _TEXTS}
            numbers = {name: int(row[name]) for name in ("risk", "years", "spread", "minimum")}
            yield Kind(**texts, **numbers, cost=float(row["cost"]))


_REGIONS = (
    ("", ""), ("Europe", "欧洲"), ("Asia", "亚洲"), ("America", "美洲"), ("Nordic", "北欧"),
    ("Japan", "日本"), ("China", "中国"), ("Pacific", "太平洋"),
)  # fmt: skip
_ISSUERS = (
    ("Republic of Norden", "北境共和国", 1), ("City of Lakeford", "湖滨市", 2),
    ("Norden Railways", "北境铁路", 2),
    ("Harbour Water", "海港水务", 2), ("Meridian Foods", "子午食品", 3), ("Polar Telecom", "极地电信", 3),
    ("Atlas Steel", "阿特拉斯钢铁", 4), ("Comet Airlines", "彗星航空", 5), ("Frontier Mining", "边疆矿业", 6),
)  # fmt: skip
_TERMS = (1, 2, 3, 5, 7, 10)


def make_products() -> Iterator[dict[str, object]]:
    """Yield the products as records, each with its number as the id."""
    made = [*_funds(), *_bonds(), *_deposits()]
    for number, product in enumerate(made, start=1):
        yield {"id": f"inv-{number:04d}", **product}


def _funds() -> Iterator[dict[str, object]]:
    for place, kind in enumerate(_read_kinds()):
        for at, (region, region_zh) in enumerate(_REGIONS):
            provider, provider_zh = PROVIDERS[(place + at) % len(PROVIDERS)]
            risk = min(7, kind.risk + (kind.spread if at in (2, 6) else 0))
            yield {
                "name": " ".join(filter(None, (provider, region, kind.name))),
                "name_zh": f"{provider_zh}{region_zh}{kind.name_zh}",
                "provider": provider,
                "kind": kind.category,
                "sector": kind.sector,
                "risk_class": risk,
                "horizon_years": kind.years,
                "cost_percent": round(kind.cost + 0.05 * at, 2),
                "minimum": kind.minimum,
                "income": "paid out" if (place + at) % 3 == 0 else "kept",
                "summary": (
                    f"{kind.words}. {RISKS[risk].capitalize()}, to be held for {kind.years} years or longer."
                ),
                "summary_zh": f"{kind.words_zh}。{RISKS_ZH[risk]}，建议持有{kind.years}年以上。",
            }


def _bonds() -> Iterator[dict[str, object]]:
    for place, (issuer, issuer_zh, risk) in enumerate(_ISSUERS):
        for years in _TERMS:
            grade = min(7, risk + (years >= 10))
            rate = round(1.5 + 0.6 * grade + 0.1 * years, 2)
            yield {
                "name": f"{issuer} {rate}% Bond {years} years",
                "name_zh": f"{issuer_zh}{years}年期债券",
                "provider": PROVIDERS[place % len(PROVIDERS)][0],
                "kind": "bond",
                "sector": "government bonds"
                if risk == 1
                else "corporate bonds"
                if risk > 2
                else "public bonds",
                "risk_class": grade,
                "horizon_years": years,
                "cost_percent": 0.1,
                "minimum": 1000,
                "income": "paid out",
                "summary": (
                    f"Pays {rate}% interest a year and is repaid after {years} years. "
                    f"{RISKS[grade].capitalize()}."
                ),
                "summary_zh": (
                    f"年利率{rate}%，{years}年后到期还本。{RISKS_ZH[grade]}"
                    f"{'，稳健理财' if grade < 3 else ''}。"
                ),
            }


def _name_sector(risk: int) -> str:
    return ("government bonds", "public bonds", "corporate bonds")[min(risk, 3) - 1]


def _deposits() -> Iterator[dict[str, object]]:
    for place, (provider, provider_zh) in enumerate(PROVIDERS):
        for years in (0, 1, 2, 3, 5, 8):
            rate = round(1.2 + 0.25 * years + 0.05 * place, 2)
            fixed = (
                f"fixed for {years} {'year' if years == 1 else 'years'}" if years else "available every day"
            )
            fixed_zh = f"{years}年定期存款" if years else "活期存款"
            yield {
                "name": f"{provider} Fixed Deposit {years} years" if years else f"{provider} Savings Account",
                "name_zh": f"{provider_zh}{fixed_zh}",
                "provider": provider,
                "kind": "deposit",
                "sector": "deposits",
                "risk_class": 1,
                "horizon_years": years,
                "cost_percent": 0,
                "minimum": 1 if not years else 500,
                "income": "paid out",
                "summary": (
                    f"{rate}% interest, {fixed}. Covered by deposit insurance. Very low risk, safe savings."
                ),
                "summary_zh": f"年利率{rate}%，存款保险保障，低风险，稳健理财。",
            }


if __name__ == "__main__":
    CATALOGUE.write_text(
        "".join(json.dumps(product, ensure_ascii=False) + "\n" for product in make_products()),
        encoding="utf-8",
    )

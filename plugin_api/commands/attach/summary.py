"""The summary of `attune attach --dry-run` for people."""

from indexer.attach.estimate import AttachEstimate
from plugin_api.terminal import format_count


def summarize_estimate(estimate: AttachEstimate) -> str:
    """Return what attaching would do."""
    names, remaining = ", ".join(estimate.indexes), estimate.documents - estimate.encoded
    lines = [
        f"Attaching would encode {remaining:,} of {format_count(estimate.documents, 'document')} of {names}. "
        f"Measured on a few, that takes about {_duration(estimate.seconds)} from this machine; the vectors "
        f"add at most {estimate.bytes / 1e6:,.1f} MB to each copy of the data."
    ]
    if estimate.copied:
        lines.append(
            f"{', '.join(estimate.copied)}: made without index.knn, so a copy takes the place of each. What "
            "was there is kept."
        )
    if estimate.without_text:
        lines.append(f"{estimate.without_text:.0%} of a sample have no title or description to encode.")
    lines += ["", "Some of them, as the model would read them:"]
    for product in estimate.products:
        facts = {
            "brand": product.brand,
            "category": product.category,
            "price": product.price,
            "description": product.description[:80],
        }
        shown = "; ".join(f"{name}: {value}" for name, value in facts.items() if value not in ("", None))
        lines.append(f"  {product.id}: {product.title[:80]}" + (f" ({shown})" if shown else ""))
    return "\n".join([*lines, "", "Nothing was changed."])


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} minutes"

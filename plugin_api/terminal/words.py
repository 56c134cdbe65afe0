"""Numbers with their nouns, for people."""


def format_count(number: int, noun: str, plural: str = "") -> str:
    """Return a number and its noun: `1 product`, `2,500 products`, with a `plural` that is not noun + s."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"

"""What the product encoder reads: one text a product, its fields in one fixed order.

    title . brand . category . description . attribute values

Title, brand, category and description are pooled into the product's vector. Attribute values come last and
are only attended to: the tower is causal, so nothing before them changes by their presence. Measured on the
electronics judgements with the BERT teacher: title + brand + description 0.928 judged-pool nDCG@10,
title alone 0.888, and attribute values pooled with the rest 0.896.
"""

import re
from dataclasses import dataclass

from mappings.types import AttributeValue, Product
from reranker.text.brands import find_other_spellings
from reranker.text.chinese import is_chinese

_TEXT_ORDER = ("title", "brand", "category", "description", "attributes")

_ATTRIBUTES = 4
_ATTRIBUTE_CHARS = 40
_FIELD_CHARS = 600
"""Characters that are read of each pooled field: more than the encoder has tokens for."""
_WORDLIKE = re.compile(r"[^\W\d_]{2}")


@dataclass(frozen=True, slots=True)
class ProductText:
    """The encoder's input: `pooled` makes the k-NN vector, `attended` adds token vectors only."""

    pooled: str
    attended: str


def build_product_text(product: Product) -> ProductText:
    """Return the text of one product, fields that only repeat an earlier one left out."""
    values = [
        value
        for value in list_attribute_values(product)
        if len(value) <= _ATTRIBUTE_CHARS and _WORDLIKE.search(value)
    ]
    pooled = ". ".join(part for _, part in list_pooled_fields(product))
    return ProductText(pooled, ", ".join(values[:_ATTRIBUTES]))


def list_pooled_fields(product: Product) -> list[tuple[str, str]]:
    """Return name and text of each field that is pooled, in order, without repetitions."""
    parts: dict[str, str] = {}
    for name in _TEXT_ORDER[:4]:
        part = getattr(product, name)[:_FIELD_CHARS]
        if name == "brand":
            part = " ".join(filter(None, (part, *list_other_spellings(product))))
        if part:
            parts.setdefault(part, name)
    return [(name, part) for part, name in parts.items()]


def list_other_spellings(product: Product) -> tuple[str, ...]:
    """Return the brand's names in the other script, where the title is Chinese."""
    return find_other_spellings(product.brand, product.title) if is_chinese(product.title) else ()


def list_attribute_values(product: Product) -> list[str]:
    """Return the attribute values that the encoder reads, in their order: all but yes and no."""
    values = (", ".join(format_attribute_values(value)) for value in product.attributes.values())
    return [value for value in values if value not in ("true", "false")]


def format_attribute_values(value: AttributeValue) -> tuple[str, ...]:
    """Return an attribute's values as documents hold them; the encoder reads the same from either."""
    if isinstance(value, bool):
        return ("true",) if value else ("false",)
    if isinstance(value, tuple):
        return value
    return (value if isinstance(value, str) else format_number(value),)


def format_number(value: float) -> str:
    """Return a number the way people write it: 17.0 is 17."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)

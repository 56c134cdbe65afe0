"""Types of settings: what each may be, and how that is said where a value is refused."""

from typing import Annotated, Literal

from msgspec import Meta

_HOST = r"(https?://)?(\*\.)?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*(:[0-9]{1,5})?"
"""A source that a Content-Security-Policy takes: no spaces, semicolons or paths."""

HttpUrl = Annotated[
    str,
    Meta(
        pattern=r"^https?://[^\s/?#]+", extra={"allowed": "an address that begins with http:// or https://"}
    ),
]
PlainFile = Annotated[
    str, Meta(pattern=r"^(|.*(?<!\.gz))$", extra={"allowed": "a file that is not compressed (.gz)"})
]
HostList = Annotated[
    str,
    Meta(
        pattern=rf"^\s*({_HOST}\s*(,\s*{_HOST}\s*)*,?\s*)?$",
        extra={"allowed": "hosts such as cdn.example.com, *.example.com or https://img.example.com"},
    ),
]
HeapSize = Annotated[
    str,
    Meta(
        pattern=r"^0*[1-9][0-9]*[mMgG]$",
        extra={"allowed": 'a number of m(ega) or g(iga)bytes such as "512m" or "1g"'},
    ),
]
FusionMethod = Literal["minmax", "rrf"]

_KIND = "head|phrase|sentence|model|measure|price|absence|colour|material|gender|age|size"
QueryKinds = Annotated[
    str,
    Meta(
        pattern=rf"^\s*(|none|({_KIND})(\s*,\s*({_KIND}))*)\s*$",
        extra={"allowed": f"kinds of {_KIND.replace('|', ', ')}, or none"},
    ),
]
"""Kinds of queries, as `reranker.understanding.kinds` tells them apart."""

_DEMAND = "measure|colour|material|gender|age|size|value|price|absence|feature|model"
DemandKinds = Annotated[
    str,
    Meta(
        pattern=rf"^\s*(|({_DEMAND})(\s*,\s*({_DEMAND}))*)\s*$",
        extra={"allowed": f"kinds of {_DEMAND.replace('|', ', ')}"},
    ),
]
"""Kinds of demands, as `reranker.understanding.demands` names them."""

ShareOfOne = Annotated[float, Meta(ge=0, le=1)]
"""A part of a whole: 0 is none of it, 1 all."""

NonNegative = Annotated[float, Meta(ge=0)]
PositiveCount = Annotated[int, Meta(ge=1)]
AnyCount = Annotated[int, Meta(ge=0)]
AnySeconds = Annotated[float, Meta(ge=0)]

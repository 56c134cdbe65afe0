"""Extract the words of a `query_string` or `simple_query_string` from the syntax around them.

Only the words are needed, and whether there is any syntax, not a tree. The Lucene parsers for Python (luqum,
lucenequery) build trees of `query_string` only and raise errors where OpenSearch does not. Tokens follow
Lucene's QueryParser.jj and SimpleQueryParser.
"""

import re
from dataclasses import dataclass

_MAX_LENGTH = 2000
"""Characters that are read. A longer text counts as having syntax."""

_LUCENE = re.compile(
    r"""
    (?P<dropped> [\[{][^\]}]*[\]}]                       # a range: price:[10 TO 20}
               | /(?:\\.|[^/\\])+/                       # a regular expression
               | [<>]=?\s*[^\s()]+                       # price:>10
               | _exists_\s*:\s*[^\s()]+ )
  | (?P<not> [-!] | NOT(?=[\s()"]|$) )
  | (?P<operator> \+ | (?:AND|OR|&&|\|\|)(?=[\s()"]|$) | [~^][\d.]* )
  | (?P<open> \( )
  | (?P<close> \) )
  | (?P<phrase> "(?:\\.|[^"\\])*" )
  | (?P<field> (?:\\.|[^\s"()\[\]{}:^~/\\!])+\s*: )
  | (?P<word> (?:\\.|[^\s"()\[\]{}:^~/\\!])+ )
  | (?P<stray> \S )
    """,
    re.VERBOSE | re.DOTALL,
)

_SIMPLE = re.compile(
    r"""
    (?P<not> -(?=\S) )
  | (?P<operator> [+|] | -(?=\s|$) | [~]\d* )
  | (?P<open> \( )
  | (?P<close> \) )
  | (?P<phrase> "(?:\\.|[^"\\])*" )
  | (?P<word> (?:\\.|[^\s"()|+~\\])+ )
  | (?P<stray> \S )
    """,
    re.VERBOSE | re.DOTALL,
)

_BRACKETS = str.maketrans("[{", "  ")

_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class SyntaxWords:
    """The words that are looked for. `is_plain` is true where there is no syntax, as in a `match`."""

    text: str
    is_plain: bool


def lucene_words(text: str) -> SyntaxWords:
    """Read the language of `query_string`: fields, phrases, ranges, operators, wildcards."""
    # A bracket that is never closed opens no range. Looking for its end at each takes quadratic time.
    closed = max(text.rfind("]"), text.rfind("}")) + 1
    rest = text[closed:].translate(_BRACKETS)
    words = _words(_LUCENE, "*?", text[:closed] + rest)
    return SyntaxWords(words.text, words.is_plain and rest == text[closed:])


def simple_words(text: str) -> SyntaxWords:
    """Read the language of `simple_query_string`, all its operators taken to be switched on."""
    return _words(_SIMPLE, "*", text)


def _words(syntax: re.Pattern[str], wildcards: str, text: str) -> SyntaxWords:
    words: list[str] = []
    plain = len(text) <= _MAX_LENGTH
    negated = False  # whether the next word, phrase or group is
    groups: list[bool] = []  # whether each open group, or one around it, is negated
    for token in syntax.finditer(text[:_MAX_LENGTH]):
        kind, part = token.lastgroup, token[0]
        plain = plain and kind == "word" and not _wild(part, wildcards)
        hidden = negated or (bool(groups) and groups[-1])
        if kind == "open":
            groups.append(hidden)
        elif kind == "close" and groups:
            groups.pop()
        elif kind == "phrase" and not hidden:
            words.append(_ESCAPE.sub(r"\1", part[1:-1]))
        elif kind == "word" and not hidden:
            words.append(_trim(part, wildcards))
        if kind == "not":
            negated = not negated
        elif kind not in ("operator", "field"):  # those stand before what is negated
            negated = False
    return SyntaxWords(" ".join(" ".join(words).split()), plain)


def _trim(word: str, wildcards: str) -> str:
    """Return the word without escapes and wildcards at its ends; empty where a wildcard splits it."""
    core = word.lstrip(wildcards)
    while core and core[-1] in wildcards and not core.endswith("\\" + core[-1]):
        core = core[:-1]
    return "" if _wild(core, wildcards) else _ESCAPE.sub(r"\1", core)


def _wild(word: str, wildcards: str) -> bool:
    return any(letter in wildcards for letter in _ESCAPE.sub("", word))

"""How to read a file where detection is wrong: `--read-as "encoding=cp1252 delimiter=; quote=none"`."""

import codecs
from dataclasses import dataclass

from mappings.errors import SettingsError

_NAMED = {"tab": "\t", "space": " ", "comma": ",", "semicolon": ";", "pipe": "|", "backslash": "\\"}
_KEYS = "encoding, delimiter, quote, escape"


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """Properties of a file that are not to be detected. None stands for what detection finds.

    `quote` and `escape` are "" where the file has none.
    """

    encoding: str | None = None
    delimiter: str | None = None
    quote: str | None = None
    escape: str | None = None


def parse_read_options(text: str) -> ReadOptions:
    """Read options such as `encoding=gb18030 delimiter=tab quote=none escape=backslash`.

    Raises SettingsError for an unknown key, encoding or a delimiter of several characters.
    """
    values: dict[str, str] = {}
    for part in text.split():
        key, equals, value = part.partition("=")
        if not equals or key not in ReadOptions.__dataclass_fields__:
            raise SettingsError(f"--read-as: {part!r} is not one of {_KEYS} with its value")
        if key == "encoding":
            try:
                values[key] = codecs.lookup(value).name
                "".encode(value)
            except (LookupError, ValueError) as error:
                raise SettingsError(f"--read-as: there is no encoding called {value!r}") from error
            continue
        value = _NAMED.get(value, value)
        if value == "none" and key != "delimiter":
            value = ""
        elif len(value) != 1 or value in "\r\n\0":
            named = ", ".join(_NAMED)
            raise SettingsError(f"--read-as: {key} must be one character, or one of {named}")
        values[key] = value
    return ReadOptions(**values)

"""The encoding of a text: by its byte order mark, by its bytes, or by what reads most like a language.

charset-normalizer took French and German for cp1250 and Chinese for Korean in catalogues of a few lines, so
the encodings that shops export are told apart here, by the likelihood of their common characters.
"""

import codecs
import io
import math
from collections import Counter
from collections.abc import Callable, Iterable

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_WESTERN = "éèàçäöüßáíóúñêâôûîïëùœæøåãõìòýÿ"
_CENTRAL = "ąćęłńóśźżáčďéěíňřšťúůýžőűöüäôľĺŕășțăâî"
_CYRILLIC = "".join(map(chr, range(0x430, 0x450)))
_SYMBOLS = "€£¥°®™©–—‘’“”„…•½¼¾²³×«»\u00a0¿¡§µ´·¹ºª±"
_NO_CONTROLS = bytes(byte for byte in range(256) if byte >= 32 or byte in b"\0\t\n\v\f\r")
_RARE = math.log(1 / 50_000)
_BROKEN_LINE = math.log(1e-12)
_SCORED_BYTES = 40_000


def detect_encoding(sample: bytes) -> tuple[str, int]:
    """Return the codec of a text by a sample from its beginning, and the length of its byte order mark.

    Text that is valid UTF-8 but for some lines is UTF-8. Returns "" for binary data, and where none fits.
    """
    for mark, encoding in _MARKS:
        if sample.startswith(mark) and not (encoding == "utf-32-le" and len(sample) % 4):
            return encoding, len(mark)
    if wide := _without_mark_utf16(sample):
        return wide, 0
    if 50 * len(sample.translate(None, _NO_CONTROLS)) > len(sample):
        return "", 0  # binary
    lines = [line for line in sample.splitlines() if not line.isascii()]
    if not sample.endswith((b"\n", b"\r")) and len(lines) > 1:
        lines.pop()  # a sample may end within a character
    broken = [line for line in lines if not _decodes(line, "utf-8")]
    if 2 * len(broken) <= len(lines) or not lines:
        return "utf-8", 0
    return _likeliest(broken), 0


def transcode(stream: io.BufferedIOBase, encoding: str) -> io.BufferedReader:
    """Return a UTF-8 stream of a UTF-16 or UTF-32 one. What can't be decoded becomes the byte FF."""
    return io.BufferedReader(_Transcoder(stream, encoding), 1 << 16)


class _Transcoder(io.RawIOBase):
    def __init__(self, stream: io.BufferedIOBase, encoding: str) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)("attune_mark_broken")
        self._ready = b""
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        while not self._ready and not self._ended:
            data = self._stream.read1(1 << 16)
            self._ended = not data
            self._ready = self._decoder.decode(data, final=self._ended).encode("utf-8", "surrogateescape")
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count


def _mark_broken(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "\udcff", error.end


codecs.register_error("attune_mark_broken", _mark_broken)


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _without_mark_utf16(sample: bytes) -> str:
    """Return the kind of UTF-16, "" for another encoding: half of what is ASCII are zeros, on one side."""
    sample = sample[: 1 << 16]
    sample = sample[: len(sample) // 2 * 2]
    odd, even = sample[1::2].count(0), sample[::2].count(0)
    if odd + even < max(4, len(sample) // 50) or 20 * min(odd, even) > odd + even:
        return ""
    encoding = "utf-16-le" if odd > even else "utf-16-be"
    text = sample.decode(encoding, "replace")
    plain = sum(character.isascii() and character.isprintable() for character in text)
    return encoding if "�" not in text[:-1] and 10 * plain > len(text) else ""


def _likeliest(lines: list[bytes]) -> str:
    scored: list[bytes] = []
    size = 0
    for line in lines:
        if size > _SCORED_BYTES:
            break
        scored.append(line[:2000])
        size += len(scored[-1])
    best, highest = "", -math.inf
    for encoding, prior, likelihood in _CANDIDATES:
        total = prior
        for line in scored:
            try:
                total += likelihood(line.decode(encoding))
            except UnicodeDecodeError:
                total += _BROKEN_LINE - 5 * len(line)
        if total > highest:
            best, highest = encoding, total
    high = sum(byte > 127 for line in scored for byte in line)
    return best if highest > -12 * high - 5 * (size - high) else ""


def _single_byte(letters: str, symbols: str = _SYMBOLS) -> Callable[[str], float]:
    """Return the log likelihood of a line in a language with these letters beside the symbols of shops."""
    weights = dict.fromkeys(letters, 1 / 25)
    weights |= {letter.upper(): 1 / 150 for letter in letters if len(letter.upper()) == 1}
    signs = dict.fromkeys(symbols, 1 / 60)
    alphabetic = letters == _CYRILLIC

    def likelihood(line: str) -> float:
        total = 0.0
        for index, character in enumerate(line):
            if character.isascii():
                total += math.log(1 / 60)
                continue
            before, after = line[index - 1 : index], line[index + 1 : index + 2]
            if character in weights:
                total += math.log(weights[character])
                if not alphabetic and not before.isascii() and before in weights:
                    total += math.log(1 / 20)  # letters with accents seldom stand side by side
                if character.isupper() and before.islower():
                    total += math.log(1 / 30)
            elif character in signs:
                total += math.log(signs[character])
                if character not in "’‘–—\u00a0" and before.isalpha() and after.isalpha():
                    total += math.log(1 / 100)
            else:
                total += math.log(1 / 3000)
        return total

    return likelihood


def _double_byte(common: Callable[[str], float]) -> Callable[[str], float]:
    """Return the log likelihood of a line whose characters have these probabilities, 0 for rare ones."""
    memory: dict[str, float] = {}

    def likelihood(line: str) -> float:
        total = 0.0
        for character, count in Counter(line).items():
            if character not in memory:
                chance = 1 / 60 if character.isascii() else common(character)
                memory[character] = math.log(chance) if chance else _RARE
            total += count * memory[character]
        return total

    return likelihood


def _lead(character: str, encoding: str) -> int:
    try:
        data = character.encode(encoding)
    except UnicodeEncodeError:
        return 0
    return data[0] if len(data) == 2 else 0


def _gb(character: str) -> float:
    lead = _lead(character, "gb2312")
    return 1 / 3755 if 0xB0 <= lead <= 0xD7 else 1 / 500 if lead in (0xA1, 0xA3) else 0


def _big5(character: str) -> float:
    lead = _lead(character, "big5")
    return 1 / 5401 if 0xA4 <= lead <= 0xC6 else 1 / 500 if lead == 0xA1 else 0


def _japanese(character: str) -> float:
    if "\u3041" <= character <= "\u30ff":
        return 1 / 100
    if "\uff61" <= character <= "\uff9f":
        return 1 / 1500
    lead = _lead(character, "euc_jp")
    return 1 / 3000 if 0xB0 <= lead <= 0xCF else 1 / 500 if lead in (0xA1, 0xA3) else 0


def _korean(character: str) -> float:
    lead = _lead(character, "euc_kr")
    return 1 / 2350 if 0xB0 <= lead <= 0xC8 else 1 / 500 if lead in (0xA1, 0xA3) else 0


_CANDIDATES: Iterable[tuple[str, float, Callable[[str], float]]] = (
    ("cp1252", 6.0, _single_byte(_WESTERN)),
    ("gb18030", 2.0, _double_byte(_gb)),
    ("cp932", 1.0, _double_byte(_japanese)),
    ("cp950", 1.0, _double_byte(_big5)),
    ("cp1250", 0.0, _single_byte(_CENTRAL)),
    ("cp1251", 0.0, _single_byte(_CYRILLIC)),
    ("cp949", 0.0, _double_byte(_korean)),
    ("euc_jp", 0.0, _double_byte(_japanese)),
    ("mac_roman", -2.0, _single_byte(_WESTERN)),
)
"""Encodings with the log of how much likelier than others they are beforehand, and their likelihood."""

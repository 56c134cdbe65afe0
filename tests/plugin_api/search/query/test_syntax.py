import random

import pytest

from plugin_api.search.query.syntax import SyntaxWords, lucene_words, simple_words


@pytest.mark.parametrize(
    ("text", "words", "plain"),
    [
        ("wireless mouse", "wireless mouse", True),
        ("  wireless\n mouse ", "wireless mouse", True),
        ("usb-c 2.0 wi-fi", "usb-c 2.0 wi-fi", True),
        ("购买 手机", "购买 手机", True),
        ("", "", True),
        ("laptop AND hp", "laptop hp", False),
        ("laptop && hp || dell", "laptop hp dell", False),
        ("android OR not", "android not", False),
        ("ANDROID", "ANDROID", True),
        ("+laptop -hp !dell", "laptop", False),
        ("laptop NOT hp", "laptop", False),
        ("laptop NOT (hp OR dell) bag", "laptop bag", False),
        ("-(a (b c) d) e", "e", False),
        ('"wireless mouse" logitech', "wireless mouse logitech", False),
        ('-"wireless mouse" keyboard', "keyboard", False),
        ("title:mouse brand:logitech", "mouse logitech", False),
        ("-brand:hp laptop", "laptop", False),
        ("title:(wireless mouse)", "wireless mouse", False),
        ("mouse^2 key~1", "mouse key", False),
        ('"wireless mouse"~3', "wireless mouse", False),
        ("price:[10 TO 20} mouse", "mouse", False),
        ("price:>10 mouse", "mouse", False),
        ("price:>=10 mouse", "mouse", False),
        ("_exists_:price mouse", "mouse", False),
        ("/mo[us]+e/ lamp", "lamp", False),
        ("mous*", "mous", False),
        ("*mouse?", "mouse", False),
        ("m*use lamp", "lamp", False),
        ("* mouse", "mouse", False),
        (r"50\" tv", '50" tv', True),
        (r"c\+\+ \*", "c++ *", True),
        ("(mouse", "mouse", False),
        ("mouse)", "mouse", False),
        ('mouse "lamp', "mouse lamp", False),
        ("mouse \\", "mouse", False),
    ],
)
def test_words_of_a_query_string(text: str, words: str, plain: bool) -> None:
    assert lucene_words(text) == SyntaxWords(words, plain)


@pytest.mark.parametrize(
    ("text", "words", "plain"),
    [
        ("wireless mouse", "wireless mouse", True),
        ("laptop AND hp", "laptop AND hp", True),
        ("title:mouse", "title:mouse", True),
        ("usb-c", "usb-c", True),
        ("laptop + hp | dell", "laptop hp dell", False),
        ("laptop -hp", "laptop", False),
        ("laptop - hp", "laptop hp", False),
        ("laptop -(hp dell) bag", "laptop bag", False),
        ('"wireless mouse" -"floor lamp"', "wireless mouse", False),
        ("mous* key~2", "mous key", False),
        ("mouse?", "mouse?", True),
        ("[10 TO 20]", "[10 TO 20]", True),
        (r"c\+\+", "c++", True),
    ],
)
def test_words_of_a_simple_query_string(text: str, words: str, plain: bool) -> None:
    assert simple_words(text) == SyntaxWords(words, plain)


def test_a_text_of_no_end_is_read_up_to_its_limit_and_never_plain() -> None:
    assert lucene_words("a " * (2000 // 2)).is_plain
    long = lucene_words("a " * 2000)
    assert (len(long.text) <= 2000, long.is_plain) == (True, False)


@pytest.mark.parametrize("read", [lucene_words, simple_words])
@pytest.mark.parametrize("piece", ["(", '"', "\\", "[", "/", "-", "*", "a:", "a~", '"\\', "/\\", "!(", "\\*"])
def test_text_made_to_be_slow_is_read(read: object, piece: str) -> None:
    assert read(piece * 2000).text is not None  # type: ignore[operator]


@pytest.mark.parametrize("read", [lucene_words, simple_words])
def test_whatever_is_typed_its_words_come_from_it(read: object) -> None:
    rng = random.Random(3)
    for _ in range(2000):
        text = "".join(rng.choice('ab AND-+!()"\\*?:~^[]{}/|&<>=12 ') for _ in range(rng.randrange(30)))
        found = read(text)  # type: ignore[operator]
        assert set(found.text) <= set(text) | {" "}
        assert found.text == " ".join(found.text.split())
        if found.is_plain:
            assert found.text.replace(" ", "") == "".join(text.split()).replace("\\", "") or "\\" in text

import sys

import pytest

from indexer.catalogue.cleaning import clean_id, clean_text, make_cleaner


@pytest.mark.parametrize(
    ("written", "typed"),
    [
        ("Windows® 10 Home™", "Windows 10 Home"),
        ("Intel®Core", "Intel Core"),
        ("Bluetooth®-enabled", "Bluetooth-enabled"),
        ("2½ inch", "2 1/2 inch"),
        ("½ inch, 1⁄2", "1/2 inch, 1/2"),
        ("20 m²", "20 m2"),
        ("10²", "10^2"),
        ("90º", "90°"),
        ("500 µF", "500 µF"),
        ("15.6″ screen, 6′ cable", "15.6\" screen, 6' cable"),
        ("Levi’s “501”", 'Levi\'s "501"'),
        ("TN‑2110 – black", "TN-2110 - black"),
        ("ＡＢＣ１２３　ｶﾞﾗｽ", "ABC123 ガラス"),
        ("ﬁlter ㎝ ℃ Ⅲ", "filter cm °C III"),
        ("无线，蓝牙：黑", "无线,蓝牙:黑"),
        ("3.5mm USB-C 256GB", "3.5mm USB-C 256GB"),
        ("a\x00b\u200bc\u00add\ud800", "abcd"),
        (" a\t\r\n b\u00a0\u3000c ", "a b c"),
        (r"- SureColor\n- WorkForce", "- SureColor - WorkForce"),
        ("e\u0301", "é"),
        ("", ""),
    ],
)
def test_text_comes_out_as_shoppers_type_it(written: str, typed: str) -> None:
    assert clean_text(written) == typed


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>One</p><p>two</p>", "One two"),
        ("<ul><li>a</li><li>b</li></ul>line<br/>end", "a b line end"),
        ("<b>Super</b>fast m<sup>2</sup>", "Superfast m2"),
        ("Tom &amp; Jerry &lt;3 &eacute;", "Tom & Jerry <3 é"),
        ("&lt;p&gt;Escaped &amp;amp; twice&lt;/p&gt;", "Escaped & twice"),
        ("<style>p {color: red}</style>a<script>if (a < b) {}</script>b<!-- c -->d", "a bd"),
        ("width < 5 cm & height > 3", "width < 5 cm & height > 3"),
        ("AT&T", "AT&T"),
        ("<p class='a'>open", "open"),
    ],
)
def test_markup_is_taken_out(markup: str, text: str) -> None:
    assert clean_text(markup) == text


def test_cleaning_twice_changes_nothing() -> None:
    once = clean_text("<p>15.6″ ½ m² Intel®Core &amp; ＡＢＣ</p>")
    assert clean_text(once) == once


def test_traditional_chinese_becomes_simplified_on_request() -> None:
    pytest.importorskip("opencc")
    assert make_cleaner(simplified=True)("無線藍牙耳機 USB") == "无线蓝牙耳机 USB"
    assert make_cleaner(simplified=False)("無線藍牙耳機 USB") == "無線藍牙耳機 USB"


def test_without_opencc_characters_become_simplified_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opencc", None)
    assert make_cleaner(simplified=True)("<b>無線藍牙耳機</b> USB") == "无线蓝牙耳机 USB"


def test_ids_stay_as_they_are() -> None:
    assert clean_id(" ＡＢ-½ &amp;\u200b\n") == "ＡＢ-½ &amp;"

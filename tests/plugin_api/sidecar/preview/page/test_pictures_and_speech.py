"""The page's picture and microphone: real files and clipboard, a recording in place of the device."""

import base64
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from mappings.settings import PictureSettings, SpeechSettings
from plugin_api.search.pictures.tower import PictureSearchTower, open_picture_tower
from reranker.speech.transcriber import open_transcriber
from reranker.understanding import learn_vocabulary
from tests.fakes.chromium import open_chromium
from tests.fakes.drawings import draw_picture
from tests.fakes.listener import Listener, record
from tests.fakes.preview_products import PRODUCTS
from tests.fakes.preview_shop import PreviewShop, shipped_model
from tests.plugin_api.sidecar.preview.page.conftest import Open, Visit
from tests.plugin_api.sidecar.preview.page.test_languages_and_screens import PHONE, fits

needs_av = pytest.mark.skipif(find_spec("av") is None, reason="needs pip install 'attune[speech]'")
ESPEAK = shutil.which("espeak-ng")
SPOKEN = "I am looking for a laptop"

HAND_OVER = """([kind, name, type, base64]) => {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], name, { type }));
  const event = kind === "paste" ? new ClipboardEvent(kind, { clipboardData: data, bubbles: true })
    : new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true });
  document.body.dispatchEvent(event);
  return event.defaultPrevented;
}"""


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the browser hears each time: words where espeak-ng can say them, else a tone."""
    path = tmp_path_factory.mktemp("recording") / "query.wav"
    if ESPEAK:
        subprocess.run([ESPEAK, "-v", "en-us", "-s", "130", "-w", str(path), SPOKEN], check=True)
    else:
        path.write_bytes(record(3.0))
    return path


@pytest.fixture(scope="module")
def browser(recording: Path) -> Iterator[Browser]:
    arguments = (
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={recording}%noloop",
    )
    with open_chromium(arguments) as opened:
        yield opened


@pytest.fixture(scope="module")
def tower() -> PictureSearchTower:
    opened = open_picture_tower(PictureSettings(search=True), [shipped_model()])
    assert opened is not None
    return opened


def hand_over(page: Page, kind: str, data: bytes, name: str = "x.png", type_: str = "image/png") -> bool:
    """Paste or drop a file; return whether the page took the event for itself."""
    expect(page.locator("#picture-button")).to_be_visible()
    taken: bool = page.evaluate(HAND_OVER, [kind, name, type_, base64.b64encode(data).decode()])
    return taken


def speak(visit: Visit, seconds: int = 1) -> None:
    """Press the button, let so many seconds be recorded, and press it again."""
    page = visit.page
    page.locator("#microphone").click()
    expect(page.locator("#listening")).to_contain_text(f"{seconds} s")
    expect(page.locator("#microphone")).to_have_attribute("aria-pressed", "true")
    visit.picture("listening")
    page.locator("#microphone").click()


@pytest.mark.parametrize("kind", ["paste", "drop"])
def test_a_picture_that_is_handed_over_is_searched_for(
    open_page: Open, tower: PictureSearchTower, kind: str
) -> None:
    visit = open_page(pictures=tower)
    hand_over(visit.page, kind, draw_picture("disc", "orange", (900, 600)))
    visit.settled()
    expect(visit.page.locator("#picture img")).to_be_visible()
    width = visit.page.locator("#picture img").evaluate("image => image.naturalWidth")
    assert width == 512  # no more is sent than a tower sees
    assert visit.ids("attune")
    assert not visit.page.locator("#keyword .hit").count()
    visit.picture(f"picture {kind}")
    visit.explain_picture(visit.ids("attune")[0])
    expect(visit.page.locator("#explanation")).to_contain_text("by the picture alone")
    expect(visit.page.locator("#explanation .causes")).to_contain_text("Text near to what the picture shows")
    visit.picture("picture explanation")


def test_a_picture_is_pasted_from_the_real_clipboard(open_page: Open, tower: PictureSearchTower) -> None:
    visit = open_page(pictures=tower, permissions=["clipboard-read", "clipboard-write"])
    visit.page.evaluate(
        """async (base64) => {
          const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
          const picture = new Blob([bytes], { type: "image/png" });
          await navigator.clipboard.write([new ClipboardItem({ "image/png": picture })]);
        }""",
        base64.b64encode(draw_picture("square", "blue")).decode(),
    )
    visit.page.locator("#query").focus()
    visit.page.keyboard.press("Control+V")
    visit.settled()
    expect(visit.page.locator("#picture img")).to_be_visible()
    assert visit.ids("attune")


def test_words_join_a_chosen_picture_and_both_are_explained(
    open_page: Open, tower: PictureSearchTower, tmp_path: Path
) -> None:
    visit = open_page(pictures=tower)
    file = tmp_path / "x.webp"
    file.write_bytes(draw_picture("triangle", "green", kind="WEBP"))
    visit.page.locator("#picture-file").set_input_files(file)
    visit.settled()
    visit.search("mouse")
    assert visit.ids("keyword")
    best = visit.ids("attune")[0]
    visit.explain(best)
    dialog = visit.page.locator("#explanation")
    expect(dialog).to_contain_text("picture ")
    expect(dialog).not_to_contain_text("The list has")  # the explained score is the listed one
    visit.picture("picture and words explanation")
    visit.page.keyboard.press("Escape")
    visit.page.locator("#picture button").click()
    visit.settled()
    expect(visit.page.locator("#picture")).to_be_hidden()


def test_what_is_no_picture_is_said_and_text_is_pasted_as_text(
    open_page: Open, tower: PictureSearchTower
) -> None:
    visit = open_page(pictures=tower)
    hand_over(visit.page, "drop", b"no picture")
    expect(visit.page.locator("#picture")).to_contain_text("not a picture")
    assert not hand_over(visit.page, "drop", b"text", "x.txt", "text/plain")
    assert not visit.page.locator("#attune .hit").count()


@needs_av
def test_what_was_understood_is_shown_and_can_be_taken_back(open_page: Open) -> None:
    listener = Listener("wireless mouse", uncorrected="wire list mouth")
    visit = open_page(transcriber=listener, permissions=["microphone"])
    page = visit.page
    speak(visit)
    expect(page.locator("#query")).to_have_value("wireless mouse")
    expect(page.locator("#heard")).to_contain_text("Understood: “wireless mouse” (90% sure).")
    expect(page.locator("#heard")).to_contain_text("It sounded like “wire list mouth”")
    visit.settled()
    assert 0.5 < listener.seconds < 15
    assert "mouse-m185" in visit.ids("attune")
    visit.picture("heard")
    expect(page.locator("#listening")).to_be_hidden()
    page.get_by_role("button", name="Search for “wire list mouth”").click()
    expect(page.locator("#query")).to_have_value("wire list mouth")
    visit.settled()
    expect(page.locator("#heard")).to_have_count(0)
    visit.search("laptop")
    expect(page.locator("#heard")).to_have_count(0)


@needs_av
def test_where_nothing_was_understood_the_page_says_so_and_listens_again(open_page: Open) -> None:
    listener = Listener("")
    visit = open_page(transcriber=listener, permissions=["microphone"])
    visit.refusals = True
    speak(visit)
    expect(visit.page.locator("#summary")).to_contain_text("Nothing was understood")
    listener.text = "laptop"
    speak(visit)
    expect(visit.page.locator("#query")).to_have_value("laptop")


@pytest.mark.skipif(not ESPEAK, reason="needs espeak-ng")
@pytest.mark.skipif(find_spec("faster_whisper") is None, reason="needs pip install 'attune[speech]'")
def test_a_spoken_query_is_understood_and_searched_for(open_page: Open, shop: PreviewShop) -> None:
    shop.vocabulary = learn_vocabulary(PRODUCTS).to_text()
    transcriber = open_transcriber(SpeechSettings(search=True))
    visit = open_page(transcriber=transcriber, permissions=["microphone"])
    visit.page.set_default_timeout(60_000)
    speak(visit, seconds=3)
    expect(visit.page.locator("#heard")).to_contain_text("laptop", timeout=60_000)
    visit.settled()
    assert visit.ids("attune")[0].startswith("laptop")
    visit.picture("spoken")


@needs_av
def test_both_fit_a_phone(open_page: Open, tower: PictureSearchTower) -> None:
    listener = Listener("laptop", uncorrected="lap dog")
    visit = open_page(pictures=tower, transcriber=listener, permissions=["microphone"], **PHONE)
    expect(visit.page.locator("#microphone")).to_be_visible()
    fits(visit.page)
    visit.page.locator("#microphone").tap()
    expect(visit.page.locator("#listening")).to_contain_text("1 s")
    fits(visit.page)
    visit.page.locator("#microphone").tap()
    expect(visit.page.locator("#heard")).to_be_visible()
    visit.settled()
    hand_over(visit.page, "drop", draw_picture())
    expect(visit.page.locator("#picture img")).to_be_visible()
    visit.settled()
    visit.picture("phone picture and speech")
    fits(visit.page)


def test_where_both_are_off_neither_button_is_shown(open_page: Open) -> None:
    visit = open_page()
    visit.search("mouse")
    expect(visit.page.locator("#microphone")).to_be_hidden()
    expect(visit.page.locator("#picture-button")).to_be_hidden()

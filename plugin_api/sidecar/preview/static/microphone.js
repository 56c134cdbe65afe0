// A spoken query: recorded until the button is pressed again, then put into the search box.

import { byId, element, fill, say } from "./elements.js";
import { percent, t } from "./strings.js";

const MOST_PARTS = 15; // of a second each

export class Microphone {
  /** `ask` sends a recording in base64 and returns what was understood; `heard` is called with it, `failed` with an error. */
  constructor(enabled, { ask, heard, failed }) {
    this.ask = ask;
    this.heard = heard;
    this.failed = failed;
    this.recorder = null;
    if (!enabled) return;
    byId("microphone").hidden = false;
    byId("microphone").addEventListener("click", () => this.recorder ? this.stop() : this.record());
  }

  async record() {
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    } catch (error) {
      this.failed(new Error(t("microphone_denied", { reason: error?.message ?? "" })));
      return;
    }
    if (this.recorder) { // pressed twice while the browser was asking for permission
      stop(stream);
      return;
    }
    const parts = [];
    const recorder = new MediaRecorder(stream);
    this.recorder = recorder;
    this.show("microphone_listening", { n: 0 });
    recorder.ondataavailable = ({ data }) => {
      parts.push(data);
      if (recorder.state !== "recording") return;
      this.show("microphone_listening", { n: parts.length });
      if (parts.length >= MOST_PARTS) this.stop();
    };
    recorder.onstop = async () => {
      stop(stream);
      this.show("microphone_understanding");
      try {
        this.heard(await this.ask(await base64Of(new Blob(parts))));
      } catch (error) {
        this.failed(error);
      } finally {
        this.show("");
      }
    };
    recorder.start(1000); // a part each second
  }

  stop() {
    this.recorder.stop();
    this.recorder = null;
  }

  /** Says what the microphone is doing; with an empty text it is free again. */
  show(text, values) {
    const button = byId("microphone"), listening = Boolean(this.recorder);
    button.classList.toggle("listening", listening);
    button.setAttribute("aria-pressed", String(listening));
    button.disabled = text === "microphone_understanding";
    byId("listening").hidden = !text;
    byId("listening").textContent = text && t(text, values);
    if (text && !values?.n) say(t(text, { n: 0 }));
  }
}

/** What was understood of a recording, and the way to what was heard before it was corrected. `use` searches for a text. */
export function heardNote({ heard, heard_uncorrected: before, heard_probability: probability }, use) {
  return element("p", { className: "notice", id: "heard" }, t("heard", { text: heard, p: percent(probability) }), " ",
    before ? [t("heard_corrected", { text: before }), " ", element("button", { type: "button", className: "link", onclick: () => use(before) }, t("heard_use", { text: before })), " "] : null,
    t("heard_change"));
}

function stop(stream) {
  for (const track of stream.getTracks()) track.stop();
}

async function base64Of(blob) {
  let text = "";
  for (const byte of new Uint8Array(await blob.arrayBuffer())) text += String.fromCharCode(byte);
  return btoa(text);
}

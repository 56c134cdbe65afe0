// A spoken query: recorded until the button is pressed again, then put into the search box.

import { byId, say } from "./elements.js";
import { t } from "./strings.js";

const MOST_MS = 15_000;

export class Microphone {
  /** `ask` sends a recording in base64 and returns what was heard; `heard` is called with it, `failed` with an error. */
  constructor(enabled, { ask, heard, failed }) {
    this.ask = ask;
    this.heard = heard;
    this.failed = failed;
    this.recorder = null;
    if (!enabled) return;
    byId("microphone").hidden = false;
    byId("microphone").addEventListener("click", () => this.recorder ? this.recorder.stop() : this.record());
  }

  async record() {
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    } catch (error) {
      this.failed(new Error(t("microphone_denied", { reason: error?.message ?? "" })));
      return;
    }
    const parts = [];
    const recorder = new MediaRecorder(stream);
    this.show(recorder);
    const limit = setTimeout(() => recorder.stop(), MOST_MS);
    recorder.ondataavailable = ({ data }) => parts.push(data);
    recorder.onstop = async () => {
      clearTimeout(limit);
      for (const track of stream.getTracks()) track.stop();
      this.show(null);
      say(t("microphone_understanding"));
      try {
        this.heard(await this.ask(await base64Of(new Blob(parts))));
      } catch (error) {
        this.failed(error);
      }
    };
    recorder.start();
    say(t("microphone_listening"));
  }

  show(recorder) {
    this.recorder = recorder;
    byId("microphone").classList.toggle("listening", Boolean(recorder));
    byId("microphone").setAttribute("aria-pressed", String(Boolean(recorder)));
  }
}

async function base64Of(blob) {
  let text = "";
  for (const byte of new Uint8Array(await blob.arrayBuffer())) text += String.fromCharCode(byte);
  return btoa(text);
}

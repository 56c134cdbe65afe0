// The picture that is searched for: dropped, pasted or chosen, shown beside the search box.

import { byId, element, fill, say } from "./elements.js";
import { t } from "./strings.js";

const SIDE = 512; // pixels: more than any tower sees, and small to send

export class Picture {
  /** `changed` is called when there is another picture, or none any more. */
  constructor(enabled, changed) {
    this.changed = changed;
    this.address = ""; // data:image/jpeg;base64,…
    if (!enabled) return;
    byId("picture-button").hidden = false;
    byId("picture-button").addEventListener("click", () => byId("picture-file").click());
    byId("picture-file").addEventListener("change", ({ target }) => {
      this.take(target.files[0]);
      target.value = ""; // so that the same file can be chosen again
    });
    document.addEventListener("paste", ({ clipboardData }) => this.take(imageOf(clipboardData)));
    document.addEventListener("dragover", (event) => {
      if ([...event.dataTransfer.items].some((item) => item.kind === "file")) event.preventDefault();
    });
    document.addEventListener("drop", (event) => {
      const file = imageOf(event.dataTransfer);
      if (!file) return;
      event.preventDefault();
      this.take(file);
    });
  }

  /** Takes a file as the picture; says so where it is none. */
  async take(file) {
    if (!file) return;
    try {
      this.address = await scaled(file);
    } catch {
      say(t("picture_unreadable"));
      fill(byId("picture"), element("span", { className: "wrong", role: "alert" }, t("picture_unreadable")));
      byId("picture").hidden = false;
      return;
    }
    this.draw();
    this.changed();
  }

  clear() {
    this.address = "";
    this.draw();
    this.changed();
  }

  draw() {
    byId("picture").hidden = !this.address;
    fill(byId("picture"), this.address && [
      element("img", { src: this.address, alt: t("picture_shown") }),
      element("button", { type: "button", className: "close", "aria-label": t("picture_clear"), title: t("picture_clear"), onclick: () => this.clear() }, "×")]);
  }
}

function imageOf(data) {
  return [...data?.files ?? []].find((file) => file.type.startsWith("image/"));
}

/** The picture as a JPEG of at most SIDE pixels a side, on white, as its camera was held. */
async function scaled(file) {
  const image = await createImageBitmap(file);
  const share = Math.min(1, SIDE / Math.max(image.width, image.height));
  const canvas = element("canvas", { width: Math.max(1, Math.round(image.width * share)), height: Math.max(1, Math.round(image.height * share)) });
  const drawing = canvas.getContext("2d");
  drawing.fillStyle = "#fff";
  drawing.fillRect(0, 0, canvas.width, canvas.height);
  drawing.drawImage(image, 0, 0, canvas.width, canvas.height);
  image.close();
  return canvas.toDataURL("image/jpeg", 0.9);
}

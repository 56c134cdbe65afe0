// Asking who it is: an API key of the sidecar's, or a name and password of OpenSearch's.

import { byId, element, fill } from "./elements.js";
import { t } from "./strings.js";

const waiting = new Map(); // what is being asked for → the promise of it: several requests may need it at once

/** Asks for an API key; null where the person gives none. */
export function askForKey(again) {
  return once("key", () => prompt(t("key_title"), t(again ? "key_wrong" : "key_text"), [["key", "password", "off"]]))
    .then((given) => given && given.key);
}

/** Asks for {user, password}; null where the person gives none. */
export function askForPassword(again) {
  const fields = [["user", "text", "username"], ["password", "password", "current-password"]];
  return once("password", () => prompt(t("password_title"), t(again ? "password_wrong" : "password_text"), fields));
}

async function once(what, asking) {
  for (const [other, promise] of waiting) if (other !== what) await promise;
  if (!waiting.has(what)) waiting.set(what, asking().finally(() => waiting.delete(what)));
  return waiting.get(what);
}

function prompt(title, text, fields) {
  const dialog = byId("sign-in");
  return new Promise((resolve) => {
    const inputs = fields.map(([name, type, autocomplete]) =>
      element("input", { name, type, autocomplete, required: true, id: `sign-in-${name}` }));
    const form = element("form", { method: "dialog", onsubmit: () => {
      resolve(Object.fromEntries(inputs.map((input) => [input.name, input.value])));
    } },
    element("h2", { id: "sign-in-title" }, title),
    element("p", {}, text),
    inputs.map((input) => element("label", { htmlFor: input.id }, t(`field_${input.name}`), input)),
    element("div", { className: "row" },
      element("button", { type: "submit", className: "primary" }, t("continue")),
      element("button", { type: "button", onclick: () => dialog.close() }, t("cancel"))));
    fill(dialog, form);
    dialog.addEventListener("close", () => resolve(null), { once: true });
    dialog.showModal();
    inputs[0].focus();
  });
}

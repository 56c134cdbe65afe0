// Working without a mouse: keys that act on the page, and on the hit that has the focus.

import { byId, dialogHead, element, fill } from "./elements.js";
import { t } from "./strings.js";

const KEPT = "attune.keys";
const enabled = () => localStorage.getItem(KEPT) !== "off";

/** `act` has explain(key) and judge(key, grade), by the key of a hit. */
export function listenToKeys(act) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const typing = event.target.closest("input:not([type=checkbox], [type=radio]), textarea, select");
    if (event.target === byId("query") && event.key === "Escape") byId("query").blur();
    if (event.target === byId("query") && event.key === "ArrowDown" && focusFirst()) event.preventDefault();
    if (typing) return;
    if (handled(event, act)) event.preventDefault();
  });
}

function handled(event, act) {
  const hit = event.target.closest(".hit");
  const single = enabled();
  if (event.key === "ArrowDown" || (single && event.key === "j")) return hit ? move(hit, 1) : event.key === "j" && focusFirst();
  if (event.key === "ArrowUp" || (single && event.key === "k")) return hit && move(hit, -1);
  if (hit && (event.key === "ArrowLeft" || event.key === "ArrowRight")) return across(hit);
  if (!single) return false;
  if (event.key === "/") return focus(byId("query"), true);
  if (event.key === "?") return showKeys();
  if (hit && event.key === "e") return act.explain(hit.dataset.key) ?? true;
  if (hit && /^[0-3]$/.test(event.key)) return act.judge(hit.dataset.key, Number(event.key)) && true;
  return false;
}

/** A column that is shown: on a phone one of the two is not. */
const visible = (column) => column && column.offsetParent !== null;
const hitsOf = (id) => [...byId(id).querySelectorAll(".hit")];

function focusFirst() {
  const id = ["attune", "keyword"].find((of) => visible(byId(of)) && hitsOf(of).length);
  return id ? focus(hitsOf(id)[0]) : false;
}

function move(hit, by) {
  const hits = hitsOf(hit.closest(".column").id);
  const next = hits[hits.indexOf(hit) + by];
  if (!next && by < 0) return focus(byId("query"), true);
  return focus(next ?? hit);
}

/** To the same product in the other column, or to the same rank where it is not there. */
function across(hit) {
  const id = hit.closest(".column").id === "attune" ? "keyword" : "attune";
  if (!visible(byId(id))) return false;
  const other = hitsOf(id);
  const rank = hitsOf(hit.closest(".column").id).indexOf(hit);
  const next = other.find((of) => of.dataset.key === hit.dataset.key) ?? other[Math.min(rank, other.length - 1)];
  return next ? focus(next) : false;
}

function focus(at, select = false) {
  if (at.matches(".hit")) {
    for (const hit of at.closest("ol").querySelectorAll(".hit")) hit.tabIndex = hit === at ? 0 : -1;
  }
  at.focus({ focusVisible: true });
  if (select) at.select();
  at.scrollIntoView({ block: "nearest" });
  return true;
}

export function showKeys() {
  const dialog = byId("help");
  const row = (keys, text) => element("tr", {}, element("th", { scope: "row" }, keys.map((key) => element("kbd", {}, key))), element("td", {}, t(text)));
  const toggle = element("input", { type: "checkbox", checked: enabled(), onchange: (event) => localStorage.setItem(KEPT, event.target.checked ? "on" : "off") });
  fill(dialog,
    dialogHead(dialog, t("keys_title"), t("close")),
    element("table", { className: "keys" }, element("tbody", {},
      row(["/"], "key_slash"), row(["↓", "↑", "j", "k"], "key_move"), row(["←", "→"], "key_column"), row(["0", "1", "2", "3"], "key_judge"),
      row(["e"], "key_explain"), row(["?"], "key_help"), row(["Esc"], "key_escape"))),
    element("p", {}, element("label", {}, toggle, " ", t("keys_on"))),
    element("h3", {}, t("about_title")), element("p", {}, t("about")), element("p", { className: "soft" }, t("images_off")));
  dialog.showModal();
  return true;
}

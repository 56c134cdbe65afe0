// What a search goes by: index, window, weights, model, and the shop's own query.

import { byId, element, fill } from "./elements.js";
import { decimal, number, t } from "./strings.js";

const KEPT = "attune.options";
const SLIDERS = {
  window: { min: 1, max: 1000, step: 1 },
  keyword_weight: { min: 0, max: 10, step: 0.1 },
  vector_weight: { min: 0, max: 1, step: 0.05, byQuery: true },
  relevance_weight: { min: 0, max: 2, step: 0.05 },
  click_weight: { min: 0, max: 2, step: 0.05 },
  purchase_weight: { min: 0, max: 2, step: 0.05 },
};
const SIZES = [10, 20, 50, 100];
const PLACE = "%SearchText%";

export class Options {
  /** `config` is the sidecar's; `changed` is called when a search has to be done again. */
  constructor(config, changed) {
    this.config = config;
    this.indexes = [];
    this.changed = changed;
    this.values = { index: config.alias, size: 10, template: "", ...read() };
    if (!config.models.includes(this.values.model)) delete this.values.model; // it was loaded once
  }

  get index() {
    return this.values.index || this.config.alias;
  }

  get size() {
    return this.values.size;
  }

  get window() {
    return this.values.window ?? this.config.window;
  }

  /** `ext.attune` of a search: only what differs from the sidecar's settings. */
  get ext() {
    const names = [...Object.keys(SLIDERS), "model"];
    return Object.fromEntries(names.filter((name) => this.values[name] !== undefined).map((name) => [name, this.values[name]]));
  }

  get hasTemplate() {
    return Boolean(this.values.template.trim());
  }

  /** The shop's own query with the words in it. Throws Error in words where it is none. */
  query(text) {
    const inside = JSON.stringify(text).slice(1, -1);
    let found;
    try {
      found = JSON.parse(this.values.template.replaceAll(PLACE, () => inside));
    } catch (error) {
      throw new Error(t("template_wrong", { reason: error.message }));
    }
    if (typeof found !== "object" || !found || Array.isArray(found)) {
      throw new Error(t("template_wrong", { reason: t("template_object") }));
    }
    return found.query ?? found; // a whole search body will do
  }

  /** Why no search can be done with these; empty where one can. */
  get problem() {
    const heads = ["relevance_weight", "click_weight", "purchase_weight"];
    return heads.every((name) => !(this.values[name] ?? this.config[name])) ? t("weights_wrong") : "";
  }

  set(name, value, quiet = false) {
    this.values = { ...this.values, [name]: value };
    localStorage.setItem(KEPT, JSON.stringify(this.values));
    if (!quiet) this.changed();
  }

  draw() {
    fill(byId("options"),
      this.text("index", element("input", { id: "option-index", value: this.values.index, list: null, spellcheck: false, autocomplete: "off",
        "aria-describedby": null, onchange: (event) => this.set("index", event.target.value.trim()) })),
      this.choice("size", SIZES, (value) => number(value), this.values.size, (value) => this.set("size", Number(value))),
      this.choice("model", this.config.models, String, this.values.model ?? this.config.models[0],
        (value) => this.set("model", value === this.config.models[0] ? undefined : value)),
      Object.keys(SLIDERS).map((name) => this.slider(name)),
      this.text("template", element("textarea", { id: "option-template", rows: 3, spellcheck: false, value: this.values.template,
        placeholder: `{"multi_match": {"query": "${PLACE}", "fields": ["title", "brand"]}}`,
        onchange: (event) => this.set("template", event.target.value) }), "wide"),
      element("button", { type: "button", className: "wide", onclick: () => this.reset() }, t("option_reset")));
    byId("option-index").setAttribute("list", "indexes");
    byId("options").append(element("datalist", { id: "indexes" }));
    this.offer(this.indexes);
  }

  /** Offers names of indexes to choose from, beside what is typed. */
  offer(indexes) {
    this.indexes = indexes;
    fill(byId("indexes"), indexes.map((name) => element("option", { value: name })));
  }

  reset() {
    this.values = { index: this.config.alias, size: 10, template: "" };
    localStorage.removeItem(KEPT);
    this.draw();
    this.changed();
  }

  text(name, input, className = "") {
    const hint = name === "template" ? element("small", {}, t("hint_template")) : null;
    return element("div", { className: `option ${className}` }, element("label", { htmlFor: input.id }, t(`option_${name}`)), input, hint);
  }

  choice(name, values, shown, chosen, set) {
    const select = element("select", { id: `option-${name}`, onchange: (event) => set(event.target.value) },
      values.map((value) => element("option", { value, selected: value === chosen }, shown(value))));
    return element("div", { className: "option" }, element("label", { htmlFor: select.id }, t(`option_${name}`)), select,
      name === "model" ? element("small", {}, t("hint_model")) : null);
  }

  slider(name) {
    const { min, max, step, byQuery } = SLIDERS[name];
    const id = `option-${name}`;
    const now = () => this.values[name] ?? this.config[name];
    const words = () => now() === undefined ? t("by_query") : step < 1 ? decimal(now(), step < 0.1 ? 2 : 1) : number(now());
    const output = element("output", { htmlFor: id }, words());
    const input = element("input", { id, type: "range", min, max, step, value: now() ?? 0.4, "aria-valuetext": words(),
      oninput: () => {
        this.set(name, Number(input.value), true);
        output.value = words();
        if (again) again.hidden = false;
        input.setAttribute("aria-valuetext", words());
      },
      onchange: () => this.changed() });
    input.value = now() ?? 0.4; // once more: a range takes no value beyond bounds that are not set yet
    const again = byQuery && element("button", { type: "button", className: "link", hidden: now() === undefined, onclick: () => {
      this.set(name, undefined, true);
      this.draw();
      this.changed();
    } }, t("by_query"));
    const hint = ["window", "keyword_weight", "vector_weight"].includes(name) ? element("small", {}, t(`hint_${name}`), again && " ", again) : null;
    return element("div", { className: "option" }, element("label", { htmlFor: id }, t(`option_${name}`), " ", output), input, hint);
  }
}

function read() {
  try {
    return JSON.parse(localStorage.getItem(KEPT)) ?? {};
  } catch {
    return {};
  }
}

// Filters beside the results: brand, category, attributes, price and availability, where the index has them.

import { openSearch } from "./api.js";
import { byId, element, fill } from "./elements.js";
import { number, t } from "./strings.js";

const KEYWORDS = { brand: ["brand.keyword", "brand"], category: ["category.keyword", "category"] };
const ATTRIBUTES = "facets"; // name=value, as the indexer writes them
const SHOWN = 6;
const ATTRIBUTES_SHOWN = 6;

export class Facets {
  constructor(changed) {
    this.changed = changed;
    this.chosen = new Map(); // field → Set of values
    this.price = {};
    this.open = new Set(); // facets shown in full
    this.fields = new Map(); // index → what it has
  }

  /** Learns what an index has. */
  async learn(index, signal) {
    if (this.fields.has(index)) return;
    const wanted = [...Object.values(KEYWORDS).flat(), ATTRIBUTES, "price", "available"].join(",");
    const { fields } = await openSearch(`${path(index)}/_field_caps?fields=${wanted}&ignore_unavailable=true`, undefined, signal);
    const has = (name) => Object.values(fields[name] ?? {}).some((kind) => kind.aggregatable);
    const named = Object.entries(KEYWORDS).map(([name, of]) => [name, of.find(has)]).filter(([, field]) => field);
    this.fields.set(index, { named, attributes: has(ATTRIBUTES), price: has("price"), available: has("available") });
  }

  /** Aggregations to ask for with the keyword search. */
  aggregations(index) {
    const has = this.fields.get(index);
    if (!has) return {};
    const terms = (field, size) => ({ terms: { field, size } });
    return {
      ...Object.fromEntries(has.named.map(([name, field]) => [name, terms(field, 30)])),
      ...(has.attributes ? { attributes: terms(ATTRIBUTES, 300) } : {}),
      ...(has.price ? { price: { stats: { field: "price" } } } : {}),
      ...(has.available ? { available: terms("available", 2) } : {}),
    };
  }

  /** Filters of the query DSL: within a field any value will do, but each attribute has its own. */
  get filters() {
    const range = Object.fromEntries(Object.entries(this.price).filter(([, value]) => value !== undefined));
    return [
      ...[...this.chosen].filter(([, values]) => values.size).map(([at, values]) => ({ terms: { [at.split("=")[0]]: [...values] } })),
      ...(Object.keys(range).length ? [{ range: { price: range } }] : []),
    ];
  }

  get count() {
    return [...this.chosen.values()].reduce((sum, values) => sum + values.size, 0) + (Object.keys(this.price).length ? 1 : 0);
  }

  clear() {
    this.chosen.clear();
    this.price = {};
  }

  draw(index, found = {}) {
    const has = this.fields.get(index);
    const place = byId("facets");
    const groups = has ? [
      ...has.named.map(([name, field]) => this.terms(t(`facet_${name}`), field, found[name]?.buckets ?? [])),
      has.price && this.prices(found.price),
      has.available && this.terms(t("facet_available"), "available", found.available?.buckets ?? [],
        (bucket) => t(bucket.key_as_string === "true" ? "facet_yes" : "facet_no")),
      ...this.attributes(found.attributes?.buckets ?? []),
    ].filter(Boolean) : [];
    place.hidden = !groups.length;
    const focused = place.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
    const wide = window.matchMedia("(min-width: 900px)").matches;
    fill(place,
      element("details", { open: place.querySelector("details")?.open ?? wide },
        element("summary", {}, t("facets"), this.count ? ` (${this.count})` : ""),
        this.count > 0 && element("button", { type: "button", className: "link", onclick: () => { this.clear(); this.changed(); } }, t("clear", { n: this.count })),
        groups));
    if (focused) [...place.querySelectorAll("[data-key]")].find((at) => at.dataset.key === focused)?.focus();
  }

  attributes(buckets) {
    const byName = grouped(buckets);
    const chosenNames = [...this.chosen.keys()].filter((at) => at.startsWith(`${ATTRIBUTES}=`)).map((at) => at.slice(ATTRIBUTES.length + 1));
    const telling = [...byName].filter(([name, of]) => of.length > 1 || chosenNames.includes(name));
    return telling.slice(0, ATTRIBUTES_SHOWN).map(([name, of]) =>
      this.terms(name, `${ATTRIBUTES}=${name}`, of, (bucket) => bucket.key.slice(name.length + 1)));
  }

  /** A list of values to choose from; chosen ones stay, whether they are found or not. */
  terms(title, at, buckets, shown = (bucket) => bucket.key_as_string ?? bucket.key) {
    const value = (bucket) => bucket.key_as_string ?? bucket.key;
    const chosen = this.chosen.get(at) ?? new Set();
    const missing = [...chosen].filter((of) => !buckets.some((bucket) => value(bucket) === of)).map((of) => ({ key: of, doc_count: 0 }));
    const all = [...buckets, ...missing];
    if (!all.length) return null;
    const visible = this.open.has(at) ? all : all.filter((bucket, i) => i < SHOWN || chosen.has(value(bucket)));
    return element("fieldset", {},
      element("legend", {}, title),
      visible.map((bucket) => element("label", {},
        element("input", { type: "checkbox", checked: chosen.has(value(bucket)), "data-key": `${at}=${value(bucket)}`, onchange: (event) => {
          const values = new Set(chosen);
          if (event.target.checked) values.add(value(bucket));
          else values.delete(value(bucket));
          this.chosen.set(at, values);
          this.changed();
        } }),
        element("span", {}, shown(bucket)), element("small", {}, number(bucket.doc_count)))),
      all.length > SHOWN && element("button", { type: "button", className: "link", onclick: () => {
        if (!this.open.delete(at)) this.open.add(at);
        this.redraw?.();
      } }, this.open.has(at) ? t("fewer") : t("more", { n: all.length - visible.length })));
  }

  prices(stats) {
    if (!this.price.gte && !this.price.lte && !stats?.count) return null;
    const input = (bound, label, hint) => element("input", { type: "number", min: 0, step: "any", inputMode: "decimal", "aria-label": t(label), "data-key": label,
      value: this.price[bound] ?? "", placeholder: hint === undefined || hint === null ? "" : String(Math.round(hint)),
      onchange: (event) => {
        const { [bound]: _, ...rest } = this.price;
        this.price = event.target.value === "" ? rest : { ...rest, [bound]: Number(event.target.value) };
        this.changed();
      } });
    return element("fieldset", {}, element("legend", {}, t("facet_price")),
      element("div", { className: "row" }, input("gte", "price_from", stats?.min), "–", input("lte", "price_to", stats?.max)));
  }
}

function grouped(buckets) {
  const byName = new Map();
  for (const bucket of buckets) {
    const name = bucket.key.split("=")[0];
    byName.set(name, [...(byName.get(name) ?? []), bucket]);
  }
  return byName;
}

/** An index in a path. */
export const path = (index) => index.split(",").map(encodeURIComponent).join(",");

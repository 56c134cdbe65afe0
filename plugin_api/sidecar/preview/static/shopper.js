// As whom the page searches: sample shoppers and what is recommended to them.

import { ask } from "./api.js";
import { byId, element, fill } from "./elements.js";
import { picture } from "./results.js";
import { t } from "./strings.js";

const KINDS = ["next_purchase", "session", "trending"];
const SIZE = 8;

export class Shopper {
  /** `names` are those to choose from; `changed` is called when another one is chosen. */
  constructor(names, changed) {
    this.names = names;
    this.changed = changed;
    this.name = "";
    this.kind = KINDS[0];
  }

  draw() {
    byId("shopper").hidden = !this.names.length;
    fill(byId("shopper"), ["", ...this.names].map((name) =>
      element("option", { value: name, selected: name === this.name }, name ? t("shopper_named", { name }) : t("shopper_none"))));
    byId("shopper").onchange = ({ target }) => {
      this.name = target.value;
      this.changed();
    };
  }

  /** `ext.attune` of a personal search. */
  get ext() {
    return this.name ? { user: this.name } : {};
  }

  /** Shows what is recommended to the shopper in an index; nothing where nobody is chosen. */
  async recommend(index, source) {
    const place = byId("recommended");
    const { name, kind } = this;
    place.hidden = !name;
    if (!name) return;
    let hits;
    try {
      ({ hits: { hits } } = await ask("recommend", { index, user: name, kind, size: SIZE, _source: source }));
    } catch (error) {
      fill(place, element("p", { className: "notice" }, t("recommend_failed", { reason: error.message })));
      return;
    }
    if (name !== this.name || kind !== this.kind) return; // another one was chosen meanwhile
    const choice = element("select", { "aria-label": t("recommend_kind"), onchange: ({ target }) => {
      this.kind = target.value;
      this.recommend(index, source);
    } }, KINDS.map((of) => element("option", { value: of, selected: of === kind }, t(`recommend_${of}`))));
    fill(place,
      element("div", { className: "row" }, element("h2", { id: "recommended-title" }, t("recommended", { name })), choice),
      hits.length ? element("ol", {}, hits.map(card)) : element("p", { className: "soft" }, t("recommend_nothing")));
  }
}

function card({ _id, _source, fields }) {
  const title = String(_source?.title ?? _source?.name ?? _id);
  return element("li", { className: "recommendation", "data-id": _id }, picture(_source?.image, title),
    element("h3", { title }, title), element("p", { className: "soft reason" }, fields["attune.reason"][0]));
}

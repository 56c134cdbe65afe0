// The wording of the domain, and as which made-up client the page searches.

import { byId, element, fill } from "./elements.js";
import { t } from "./strings.js";

export class Domain {
  /** `config` is the sidecar's; `changed` is called when another client is chosen. */
  constructor({ title, placeholder, notice, evidence, clients }, changed) {
    Object.assign(this, { title, placeholder, notice, evidence, changed, clients: clients ?? {}, name: "" });
  }

  /** Fields of a product that the page shows for this domain. */
  get shownFields() {
    return this.evidence ? [this.evidence] : [];
  }

  /** Where a hit's facts are from, as its own paragraph; null where nothing says so. */
  showEvidence(hit) {
    const said = (this.evidence ?? "").split(".").reduce((value, name) => value?.[name], hit._source);
    return typeof said === "string" || Array.isArray(said) ? element("p", { className: "soft evidence" }, [said].flat().join("; ")) : null;
  }

  draw() {
    if (this.title) {
      document.title = `Attune · ${this.title}`;
      byId("page-title").textContent = this.title;
    }
    if (this.placeholder) byId("query").placeholder = this.placeholder;
    byId("domain-notice").hidden = !this.notice;
    byId("domain-notice").textContent = this.notice ?? "";
    const names = Object.keys(this.clients);
    byId("client").hidden = !names.length;
    fill(byId("client"), ["", ...names].map((name) =>
      element("option", { value: name, selected: name === this.name }, name || t("client_none"))));
    byId("client").onchange = ({ target }) => {
      this.name = target.value;
      this.changed();
    };
  }

  /** `ext.attune` of a search for the chosen client. */
  get ext() {
    return this.name ? { client: this.clients[this.name] } : {};
  }
}

/** What must be read before a hit, as its own paragraph; null where there is nothing. */
export function warning(hit) {
  const said = hit.fields?.["attune.warning"];
  return said ? element("p", { className: "warning", role: "note" }, t("warning", { said: said.join("; ") })) : null;
}

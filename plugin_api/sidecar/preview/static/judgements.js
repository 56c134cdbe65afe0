// Grades that people give: in the sidecar's file, or in this browser until they are downloaded.

import { ask } from "./api.js";
import { byId, element, fill } from "./elements.js";
import { t } from "./strings.js";

const KEPT = "attune.judgements";

/** What queries are compared by, as reranker/evaluation/judgements.py does. */
const key = (query) => query.normalize("NFKC").toLowerCase().split(/\s+/u).filter(Boolean).join(" ");

export class Judgements {
  /** `inFile`: whether the sidecar keeps them. */
  constructor(inFile) {
    this.inFile = inFile;
    this.query = "";
    this.grades = new Map();
  }

  /** Reads the grades of these products for a query. */
  async load(query, ids, signal) {
    const found = this.inFile
      ? (await ask("grades", { query, product_ids: ids }, signal)).grades
      : Object.fromEntries(kept().filter((row) => key(row.query) === key(query)).map((row) => [row.product_id, row.grade]));
    this.query = query;
    this.grades = new Map(Object.entries(found));
    this.draw();
  }

  grade(id) {
    return this.grades.get(id);
  }

  /** Saves a grade; null takes it back. Throws Refused. */
  async save(id, grade) {
    const { query } = this;
    if (this.inFile) await ask("judgements", { query, product_id: id, grade });
    else {
      const others = kept().filter((row) => row.product_id !== id || key(row.query) !== key(query));
      const now = grade === null ? others : [...others, { query: query.trim().split(/\s+/u).join(" "), product_id: id, grade }];
      localStorage.setItem(KEPT, JSON.stringify(now));
    }
    if (query !== this.query) return;
    if (grade === null) this.grades.delete(id);
    else this.grades.set(id, grade);
    this.draw();
  }

  draw() {
    const all = this.inFile ? [] : kept();
    if (!this.grades.size && !all.length) return void fill(byId("judged"));
    fill(byId("judged"),
      element("span", {}, t("judged", { n: this.grades.size }), ", ", t(this.inFile ? "judged_file" : "judged_browser")),
      all.length > 0 && element("button", { type: "button", title: t("download_hint"), onclick: () => download(kept()) }, t("download", { n: all.length })),
      all.length > 0 && element("button", { type: "button", className: "link", onclick: () => this.forget(all.length) }, t("forget")));
  }

  forget(n) {
    if (!window.confirm(t("forget_sure", { n }))) return;
    localStorage.removeItem(KEPT);
    this.grades.clear();
    this.draw();
    this.forgotten?.();
  }
}

function kept() {
  try {
    return JSON.parse(localStorage.getItem(KEPT)) ?? [];
  } catch {
    return [];
  }
}

function download(rows) {
  const cell = (value) => /[",\n\r]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : value;
  const lines = rows.map((row) => [row.query, row.product_id, row.grade].map(cell).join(","));
  const file = new Blob([["query,product_id,grade", ...lines, ""].join("\n")], { type: "text/csv" });
  const link = element("a", { href: URL.createObjectURL(file), download: "judgements.csv" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

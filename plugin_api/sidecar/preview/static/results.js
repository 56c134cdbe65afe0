// Draws the two rankings side by side, with how each hit moved.

import { warning } from "./domain.js";
import { byId, element, fill, marked } from "./elements.js";
import { currentLanguage, decimal, number, percent, signed, t } from "./strings.js";

export const BY_KEYWORD = "attune.keyword"; // name of the keyword query, to tell what it finds itself
const GRADES = [0, 1, 2, 3];
const STAGES = ["encode", "search", "score", "fetch"];

/** The key of a hit. */
export const keyOf = (hit) => `${hit._index}/${hit._id}`;

/** Draws both columns. `actions` has explain(hit), judge(hit, grade) and grade(hit). */
export function drawResults({ text: words, keyword, attune, size, window: candidates, shopper, actions }) {
  const reranked = attune.ext?.attune?.rerank_status === "reranked"; // else a score is OpenSearch's, no probability
  const ranks = new Map(keyword.hits.hits.map((hit, i) => [keyOf(hit), i + 1]));
  const better = new Map(attune.hits.hits.map((hit, i) => [keyOf(hit), i + 1]));
  const [left, right] = columnTitles(shopper);
  column("keyword", left, keyword.hits, keyword.hits.hits.slice(0, size), (hit, rank) => toBadge(rank, better.get(keyOf(hit)), size, shopper || "Attune"), actions,
    shopper && reranked);
  column("attune", right, attune.hits, attune.hits.hits, (hit, rank) => words ? fromBadge(hit, rank, ranks.get(keyOf(hit)), candidates) : null, actions, reranked,
    joined(attune.ext?.attune?.behaviour, attune.ext?.attune?.picture));
  byId("keyword").hidden = !words; // a picture alone has no keywords
}

/** What behaviour and a picture add to hits, by id and feature. */
function joined(behaviour = {}, picture = {}) {
  return Object.fromEntries([...new Set([...Object.keys(behaviour), ...Object.keys(picture)])].map((id) => [id, { ...behaviour[id], ...picture[id] }]));
}

/** What the columns are called: keyword search beside Attune, or Attune for everybody beside Attune for a shopper. */
export const columnTitles = (shopper) => shopper ? [t("everybody_column"), t("shopper_column", { name: shopper })] : [t("keyword_column"), t("attune_column")];

/** How a hit came to its rank: {kind, from, by}. */
export function movement(hit, rank, before) {
  if (before === undefined) return { kind: (hit.matched_queries ?? []).includes(BY_KEYWORD) ? "below" : "vectors" };
  return { kind: before === rank ? "same" : before > rank ? "up" : "down", from: before, by: Math.abs(before - rank) };
}

function fromBadge(hit, rank, before, candidates) {
  const { kind, from, by } = movement(hit, rank, before);
  if (kind === "vectors") return badge("vectors", t("by_vectors"), t("by_vectors_long"));
  if (kind === "below") return badge("up", `↑ ${t("from_below", { n: candidates })}`, t("from_below_long", { n: candidates }));
  if (kind === "same") return badge("same", "=", t("stays"));
  return badge(kind, `${kind === "up" ? "↑" : "↓"} ${number(by)}`, t(kind, { n: by, from }));
}

function toBadge(rank, after, size, name) {
  if (after === undefined) return badge("down", t("to_below", { n: size, name }), t("to_below_long", { n: size, name }));
  return badge(after === rank ? "same" : after < rank ? "up" : "down", t("to_rank", { n: after, name }), t("to_rank_long", { n: after, name }));
}

const badge = (kind, text, long) => element("span", { className: `badge ${kind}`, title: long },
  element("span", { "aria-hidden": "true" }, text), element("span", { className: "unseen" }, long));

function column(id, title, { total }, hits, badgeOf, actions, scored = false, personal = {}) {
  const place = byId(id);
  place.hidden = false;
  const count = total === undefined ? "" : t(total.relation === "gte" ? "hits_more" : "hits", { n: total.value });
  fill(byId(`${id}-title`), title, " ", element("small", {}, count));
  fill(place.querySelector("ol"), hits.map((hit, i) => card(hit, i + 1, badgeOf(hit, i + 1), actions, scored, personalReason(personal[hit._id]))));
  const first = place.querySelector(".hit");
  if (first) first.tabIndex = 0;
}

function card(hit, rank, moved, actions, scored, personal) {
  const source = hit._source ?? {};
  const title = text(source.title ?? source.name ?? source.product_name) || hit._id;
  const lit = hit.highlight?.title?.[0];
  const about = [text(source.brand), text(source.category)].filter(Boolean).join(" · ");
  const key = keyOf(hit);
  return element("li", { className: "hit", tabIndex: -1, "data-key": key, "data-id": hit._id, "aria-label": `${rank}. ${title}`,
    onmouseenter: () => pairUp(key), onmouseleave: () => pairUp(""), onfocusin: () => pairUp(key), onfocusout: () => pairUp("") },
    element("span", { className: "rank", "aria-hidden": "true" }, number(rank)),
    picture(source.image, title),
    element("div", { className: "what" },
      warning(hit),
      element("h3", {}, link(source.url, lit ? marked(lit) : title)),
      element("p", { className: "soft" }, about, about && price(source.price) ? " · " : "", price(source.price) && element("b", {}, price(source.price)),
        source.available === false && element("span", { className: "out" }, ` ${t("unavailable")}`)),
      actions.evidence(hit), personal,
      element("div", { className: "row" }, moved, scored && probability(hit._score),
        element("button", { type: "button", className: "link", "aria-label": t("why_long", { title }), "aria-haspopup": "dialog",
          onclick: () => actions.explain(hit) }, t("why")),
        grades(hit, actions))));
}

/** What a shopper's history adds to a hit, in words; null where that rounds to nothing. */
function personalReason(parts) {
  const named = Object.entries(parts ?? {}).filter(([, value]) => Math.abs(value) >= 0.05);
  if (!named.length) return null;
  const list = named.map(([name, value]) => `${t(`personal_${name}`)} ${signed(value)}`).join(", ");
  return element("p", { className: "personal", title: t("personal_long") }, list);
}

/** Shows where a product is in both columns. */
function pairUp(key) {
  for (const hit of document.querySelectorAll(".hit")) hit.classList.toggle("same-product", hit.dataset.key === key);
}

/** Buttons for the four grades, the given one pressed. */
function grades(hit, actions) {
  const group = element("span", { className: "grades", role: "group", "aria-label": t("grade_of") });
  const given = actions.grade(hit);
  fill(group, GRADES.map((grade) => element("button", { type: "button", "data-grade": grade, "aria-pressed": String(grade === given),
    title: t(`grade_${grade}`), "aria-label": `${grade}, ${t(`grade_${grade}`)}`, onclick: () => actions.judge(hit, grade) }, String(grade))));
  return group;
}

/** Shows a product's grade wherever it stands. */
export function showGrade(id, grade) {
  for (const shown of document.querySelectorAll(".hit")) {
    if (shown.dataset.id !== id) continue;
    for (const button of shown.querySelectorAll("[data-grade]")) button.setAttribute("aria-pressed", String(Number(button.dataset.grade) === grade));
  }
}

function probability(score) {
  if (typeof score !== "number") return null;
  const said = t("probability", { p: percent(score) });
  return element("span", { className: "probability", title: said },
    element("span", { className: "track", "aria-hidden": "true" }, element("span", { style: { width: `${100 * Math.min(score, 1)}%` } })),
    element("span", { "aria-hidden": "true" }, percent(score)), element("span", { className: "unseen" }, said));
}

/** A product's picture, or its first letter where there is none, or it may not be loaded. */
export function picture(address, title) {
  const letter = element("span", { className: "letter" }, [...title.trim()][0]?.toUpperCase() ?? "");
  const box = element("span", { className: "picture", "aria-hidden": "true" }, letter);
  const url = safe(address);
  if (url) {
    const image = element("img", { alt: "", loading: "lazy", decoding: "async", referrerPolicy: "no-referrer", onload: () => letter.remove(), onerror: () => image.remove() });
    if (allowed(url)) {
      image.src = url.href;
      box.append(image);
    }
  }
  return box;
}

/** Whether an image may be loaded: asking in vain would fill the console.
 *
 * Not from this host either, unless it is named: the sidecar would pass the request to OpenSearch, whose 401
 * has the browser ask for a password in a window of its own.
 */
function allowed(url) {
  return imageHosts.some((host) => {
    const [, scheme, name] = /^(?:(https?):\/\/)?(.*)$/i.exec(host);
    const sameName = name.startsWith("*.") ? url.host.endsWith(name.slice(1)) : url.host === name.toLowerCase();
    return sameName && (!scheme || url.protocol === `${scheme}:` || url.protocol === "https:");
  });
}

let imageHosts = [];
export function allowImages(hosts) {
  imageHosts = hosts;
}

function link(address, content) {
  const url = safe(address);
  return url ? element("a", { href: url.href, target: "_blank", rel: "noreferrer noopener", tabIndex: -1 }, content) : element("span", {}, content);
}

/** An address of the catalogue's, if it is one that a browser may follow: no javascript:, no data:. */
function safe(address) {
  if (typeof address !== "string" || !address) return null;
  try {
    const url = new URL(address, location.href);
    return url.protocol === "https:" || url.protocol === "http:" ? url : null;
  } catch {
    return null;
  }
}

const text = (value) => Array.isArray(value) ? value.map(String).join(" ") : value === undefined || value === null ? "" : String(value);

function price(value) {
  return typeof value === "number" ? new Intl.NumberFormat(currentLanguage(), { minimumFractionDigits: 2, maximumFractionDigits: 2 }).format(value) : "";
}

/** Draws the outcome of reranking, how much moved, and where the time went. */
export function drawSummary({ text: words, keyword, attune, size, rerankMs, keywordMs, window: candidates, shopper }) {
  const report = attune.ext?.attune;
  const status = report?.rerank_status ?? "none";
  const hits = attune.hits.hits;
  const ranks = new Map(keyword.hits.hits.map((hit, i) => [keyOf(hit), i + 1]));
  const kinds = hits.map((hit, i) => movement(hit, i + 1, ranks.get(keyOf(hit))).kind);
  const moved = kinds.filter((kind) => kind !== "same").length;
  const vectors = kinds.filter((kind) => kind === "vectors").length;
  fill(byId("summary"),
    element("p", {},
      element("span", { className: `status ${status}` }, t(`status_${status}`)), " ",
      status === "reranked" && t("best", { n: report.window || candidates }), status === "reranked" && words && " · ",
      words && hits.length > 0 && (moved ? t("changed", { moved, n: Math.min(size, hits.length), vectors }) : t("same", { n: Math.min(size, hits.length) })),
      report?.cached && element("small", {}, " · ", t("cached")),
      report?.without_vectors && element("small", {}, " · ", t("without_vectors", { n: report.without_vectors })),
      report?.model && element("small", {}, " · ", t("model", { version: report.model }))),
    report?.corrected && element("p", { className: "notice" }, t("corrected", report)),
    report?.labels && element("p", { className: "soft" }, t("picture_labels", { list: report.labels.join(", ") })),
    report?.understood && element("p", { className: "soft" }, t("understood", { list: report.understood.map(({ text, kind }) => t("understood_part", { text, kind: t(`kind_${kind}`) })).join(", ") })),
    report?.reason_code && reason(report),
    timing(report?.took_ms ?? {}, rerankMs, words ? keywordMs : null, shopper ? "everybody_ms" : "keyword_ms"));
}

/** Why the search was not reranked: in the page's language, and as the sidecar says it with the details. */
function reason({ reason_code: code, reason: sentence }) {
  return element("p", { className: "notice" }, t(`reason_${code}`), " ", element("small", { lang: "en" }, sentence));
}

function timing(took, whole, keywordMs, beside) {
  const known = STAGES.filter((stage) => took[stage] > 0).map((stage) => [stage, took[stage]]);
  const rest = whole - known.reduce((sum, [, ms]) => sum + ms, 0);
  const parts = [...known, ...(rest > 0 ? [["rest", rest]] : [])];
  const ms = (value) => t("milliseconds", { ms: decimal(value, value < 10 ? 1 : 0) });
  return element("div", { className: "timing" },
    element("div", { className: "stages", "aria-hidden": "true" },
      parts.map(([stage, value]) => element("span", { className: stage, style: { "flex-grow": value }, title: t(`stage_${stage}_long`) }))),
    element("ul", {},
      parts.map(([stage, value]) => element("li", { className: stage, title: t(`stage_${stage}_long`) }, t(`stage_${stage}`), " ", element("b", {}, ms(value)))),
      element("li", { className: "whole" }, t("total_ms", { ms: decimal(whole, 0) }), keywordMs !== null && " · ", keywordMs !== null && t(beside, { ms: decimal(keywordMs, 0) }))));
}

// The page: what is typed, searched, shown, judged and explained.

import { Refused, ask, openSearch } from "./api.js";
import { Domain } from "./domain.js";
import { byId, element, END, fill, MARK, say } from "./elements.js";
import { showExplanation } from "./explanation.js";
import { Facets, path } from "./facets.js";
import { Judgements } from "./judgements.js";
import { listenToKeys, showKeys } from "./keys.js";
import { Options } from "./options.js";
import { allowImages, BY_KEYWORD, columnTitles, drawResults, drawSummary, keyOf, movement, showGrade } from "./results.js";
import { heardNote, Microphone } from "./microphone.js";
import { Picture } from "./picture.js";
import { offerExperiment } from "./experiment.js";
import { Shopper } from "./shopper.js";
import { switchLanguage, t, translatePage } from "./strings.js";

const SHOWN_FIELDS = ["title", "name", "product_name", "brand", "category", "price", "available", "image", "url"];

let options, judgements, facets, shopper, domain, picture, microphone;
let ready = null; // the promise of options, judgements and facets
let shown = null; // the last answers, with the query they are for
let heard = null; // what was understood of the last recording
let running = new AbortController();

function start() {
  translatePage();
  byId("query").value = asked().get("q") ?? "";
  byId("query").focus();
  byId("search").addEventListener("submit", (event) => {
    event.preventDefault();
    prepared(() => {
      facets.clear();
      remember();
      search();
    });
  });
  byId("language").addEventListener("click", () => {
    switchLanguage();
    translatePage();
    domain?.draw();
    options?.draw();
    shopper?.draw();
    shopper?.recommend(options.index, SHOWN_FIELDS);
    drawView();
    redraw();
  });
  byId("help-button").addEventListener("click", showKeys);
  byId("options-button").addEventListener("click", () => {
    const open = byId("options").toggleAttribute("hidden");
    byId("options-button").setAttribute("aria-expanded", String(!open));
  });
  byId("options").addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("popstate", () => {
    byId("query").value = asked().get("q") ?? "";
    prepared(recall);
  });
  listenToKeys({ explain: (key) => explain(hitOf(key)), judge: (key, grade) => judge(hitOf(key), grade) });
  prepared(recall);
}

/** Acts once the sidecar has said what it can do, which is asked again where it did not answer. */
async function prepared(act) {
  ready ??= configure();
  try {
    await ready;
  } catch (error) {
    ready = null;
    return fail(error);
  }
  act();
}

async function configure() {
  const config = await ask("preview");
  allowImages(config.image_hosts);
  options = new Options(config, search);
  judgements = new Judgements(config.judgements === "file");
  judgements.forgotten = redraw;
  facets = new Facets(search);
  facets.redraw = () => facets.draw(options.index, shown?.keyword.aggregations);
  shopper = new Shopper(config.shoppers, () => {
    shopper.recommend(options.index, SHOWN_FIELDS);
    drawView();
    search();
  });
  domain = new Domain(config.domain, search);
  microphone ??= new Microphone(config.speech, { ask: transcribe, heard: searchHeard, failed: (error) => fail(error, options.index) });
  picture ??= new Picture(config.pictures, () => prepared(search));
  options.draw();
  shopper.draw();
  offerExperiment(config.experiment);
  domain.draw();
  drawView();
  byId("options-button").addEventListener("click", nameIndexes, { once: true });
}

/** What the sidecar understands of a recording. */
async function transcribe(audio) {
  const { ext } = await ask("search/audio", { audio, index: options.index, search: { size: 1, _source: false } });
  return ext.attune;
}

/** Searches for what was understood, which can be corrected in the search box. */
function searchHeard(said) {
  heard = said;
  searchFor(said.heard);
}

function searchFor(text) {
  byId("query").value = text;
  byId("query").focus();
  facets.clear();
  remember();
  search();
}

/** What the address says: q and index. */
const asked = () => new URLSearchParams(location.hash.slice(1));

/** Searches for what the address says, unless something else was typed while the sidecar was asked. */
function recall() {
  if (byId("query").value !== (asked().get("q") ?? "")) return;
  const index = asked().get("index");
  if (index && index !== options.index) {
    options.set("index", index, true);
    options.draw();
  }
  search();
}

/** Keeps the search in the address: after the #, so that no server's log has it. */
function remember() {
  const hash = `#${new URLSearchParams({ q: byId("query").value.trim(), index: options.index })}`;
  if (hash !== location.hash) history.pushState(null, "", hash);
}

/** Offers the aliases and indexes that this caller may see; without the right to, names are typed. */
async function nameIndexes() {
  try {
    const [aliases, indexes] = await Promise.all([
      openSearch("_cat/aliases?format=json&h=alias"), openSearch("_cat/indices?format=json&h=index")]);
    const names = new Set([...aliases.map((row) => row.alias), ...indexes.map((row) => row.index)]);
    options.offer([...names].filter((name) => !name.startsWith(".")).sort());
  } catch {
    // Then there are no suggestions.
  }
}

async function search() {
  const text = byId("query").value.trim();
  const image = picture?.address ?? "";
  if (!text && !image) return;
  running.abort();
  running = new AbortController();
  const { signal } = running;
  const { index, size } = options;
  byId("start").hidden = true;
  document.body.classList.add("searching");
  say(t("searching"));
  try {
    if (options.problem) throw new Error(options.problem);
    let withoutFacets = "";
    await facets.learn(index, signal).catch((error) => {
      if (error.name === "AbortError" || error.status !== 403) throw error;
      withoutFacets = error.message;
    });
    const own = !text ? { match_all: {} } : options.hasTemplate ? options.query(text) : (await ask(`query?text=${encodeURIComponent(text)}`, undefined, signal)).query;
    const query = { bool: { must: [own], filter: facets.filters, _name: BY_KEYWORD } };
    const ext = { ...options.ext, ...(options.hasTemplate ? { query: text } : {}) };
    const body = { query, _source: [...SHOWN_FIELDS, ...domain.shownFields], highlight: { fields: { title: { number_of_fragments: 0 } }, pre_tags: [MARK], post_tags: [END] } };
    const where = `${path(index)}/_search`;
    // One after the other, or each would be timed with the other's work in it.
    const began = performance.now();
    const personal = { ...ext, ...domain.ext, ...shopper.ext };
    const improved = { ...body, size, ...(Object.keys(personal).length ? { ext: { attune: personal } } : {}) };
    // A picture's candidates are its result set: its facets are the only ones.
    const attune = await (image
      ? ask("search/image", { image, index, text, search: { ...improved, ...(text ? {} : { aggs: facets.aggregations(index) }) } }, signal)
      : openSearch(where, improved, signal));
    const between = performance.now();
    // Beside a shopper's ranking stands everybody's, else the keyword search.
    const beside = { ...domain.ext, ...(shopper.name ? ext : { rerank: false }) };
    const keyword = !text ? { hits: { hits: [], total: { value: 0, relation: "eq" } }, aggregations: attune.aggregations } : await openSearch(where, { ...body, size: Math.max(size, options.window), aggs: facets.aggregations(index),
      track_total_hits: true, ext: { attune: beside } }, signal);
    const keywordMs = performance.now() - between;
    const ids = [...attune.hits.hits, ...keyword.hits.hits.slice(0, size)].map((hit) => hit._id);
    shown = { text, image, index, query: own, filtered: query, ext: options.ext, keyword, attune, size, window: options.window, rerankMs: between - began, keywordMs, withoutFacets, shopper: shopper.name };
    await judgements.load(text, [...new Set(ids)], signal).catch((error) => {
      if (error.name === "AbortError") throw error;
      say(error.message);
    });
    redraw();
    say(byId("summary").textContent);
  } catch (error) {
    if (error.name !== "AbortError") fail(error, index);
  } finally {
    if (running.signal === signal) document.body.classList.remove("searching");
  }
}

function redraw() {
  judgements?.draw();
  if (!shown) return;
  const actions = { explain, judge, grade: (hit) => judgements.grade(hit._id), evidence: (hit) => domain.showEvidence(hit) };
  drawSummary(shown);
  drawResults({ ...shown, actions });
  if (heard && heard.heard === shown.text) byId("summary").prepend(heardNote(heard, searchFor));
  if (shown.withoutFacets) byId("summary").append(element("p", { className: "notice" }, t("facets_failed", { reason: shown.withoutFacets })));
  if (!shown.attune.hits.hits.length) byId("summary").append(element("p", {}, t(facets.count ? "nothing_filtered" : "nothing")));
  facets.draw(shown.index, shown.keyword.aggregations);
  byId("view").hidden = !shown.text;
  if (!shown.text && document.body.dataset.view === "keyword") {
    document.body.dataset.view = "attune";
    drawView();
  }
}

/** Says in words what went wrong, in the place of the results. */
function fail(error, index) {
  shown = null;
  for (const id of ["keyword", "attune", "view", "facets"]) byId(id).hidden = true;
  fill(byId("summary"), element("p", { className: "notice wrong", role: "alert" }, inWords(error, index)),
    facets?.count ? element("button", { type: "button", onclick: () => { facets.clear(); search(); } }, t("clear", { n: facets.count })) : null);
}

function inWords(error, index) {
  if (!(error instanceof Refused)) return error.message;
  const values = { status: error.status, reason: error.message, index: index ?? options?.index };
  if (error.status === 0) return t("error_no_answer");
  if (error.kind === "cluster_down_exception") return t("error_down", values);
  if (error.kind === "index_not_found_exception") return t("error_index", values);
  if (error.kind === "not_understood_exception") return t("microphone_nothing");
  if (error.status === 401) return t("error_signed_out", values);
  if (error.status === 403) return t("error_denied", values);
  if (error.status === 429) return t("error_busy");
  if (error.status === 400) return t("error_query", values);
  return t("error_other", values);
}

const hitOf = (key) => [...shown.attune.hits.hits, ...shown.keyword.hits.hits].find((hit) => keyOf(hit) === key);

function explain(hit) {
  const at = (hits) => hits.findIndex((other) => keyOf(other) === keyOf(hit)) + 1 || undefined;
  const listed = shown.attune.hits.hits.find((other) => keyOf(other) === keyOf(hit))?._score;
  const reranked = shown.attune.ext?.attune?.rerank_status === "reranked";
  const options = { ...shown.ext, ...(shown.image ? { image: shown.image } : {}) };
  const explained = ask("explain", { index: shown.index, id: hit._id, hit_index: hit._index, query: shown.text, search: shown.filtered, options });
  showExplanation({
    title: String(hit._source?.title ?? hit._source?.name ?? hit._id), explained, failed: (error) => inWords(error, shown?.index),
    place: { rank: at(shown.attune.hits.hits), before: at(shown.keyword.hits.hits), size: shown.size, window: shown.window, listed: reranked ? listed : undefined, reranked,
      byVectors: movement(hit, 0, at(shown.keyword.hits.hits)).kind === "vectors" },
  });
}

async function judge(hit, grade) {
  const now = judgements.grade(hit._id) === grade ? null : grade;
  try {
    await judgements.save(hit._id, now);
    showGrade(hit._id, now ?? undefined);
    say(now === null ? t("ungraded") : t("graded", { n: now, name: t(`grade_${now}`) }));
  } catch (error) {
    say(t("grade_failed", { reason: inWords(error) }));
    byId("judged").replaceChildren(element("span", { className: "wrong", role: "alert" }, t("grade_failed", { reason: inWords(error) })));
  }
}

/** On a phone there is room for one ranking: which one is shown. */
function drawView() {
  const chosen = document.body.dataset.view ?? "attune";
  const titles = columnTitles(shopper?.name);
  fill(byId("view"), ["keyword", "attune"].map((name, at) => element("label", {},
    element("input", { type: "radio", name: "view", value: name, checked: name === chosen, onchange: () => { document.body.dataset.view = name; } }),
    element("span", {}, titles[at]))));
  document.body.dataset.view = chosen;
}

start();

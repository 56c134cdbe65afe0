// Why a hit is where it is: in words, feature by feature, and as a map of who attends to whom.

import { byId, dialogHead, element, fill } from "./elements.js";
import { decimal, percent, signed, t } from "./strings.js";

const TELLING = 0.05; // log-odds below which a cause is not worth a word
const WORDS_SAID = 6;

/** Opens the dialog for a hit; `explained` is a promise of the sidecar's answer, `place` says where it stands. */
export async function showExplanation({ title, explained, place, failed }) {
  const dialog = byId("explanation");
  const body = element("div", {}, element("p", { className: "soft" }, t("explaining")));
  fill(dialog, dialogHead(dialog, title, t("close")), body);
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  try {
    const found = await explained;
    fill(body, found.query ? sections(found, place) : pictureAlone(found, place));
  } catch (error) {
    fill(body, element("p", { className: "notice wrong", role: "alert" }, failed(error)));
  }
}

function sections(found, place) {
  return [
    element("p", { className: "headline" }, element("b", {}, percent(found.score)), " ",
      element("span", { className: "soft" }, t(found.picture.length ? "score_how_picture" : "score_how", { model: signed(found.model_log_odds), keyword: signed(found.evidence.log_odds), demands: signed(found.demands_log_odds), popularity: signed(found.popularity_log_odds), picture: signed(found.picture_log_odds), whole: signed(found.log_odds), slope: decimal(found.scale.slope, 2), shift: signed(found.scale.shift) }))),
    note(found, place),
    found.original && element("p", { className: "notice" }, t("corrected", { corrected: found.query, original: found.original })),
    element("ul", { className: "says" }, sentences(found, place).map((said) => element("li", {}, said))),
    ...pictureParts(found.picture),
    ...found.demands.length ? [element("h3", {}, t("demands")), element("p", { className: "soft" }, t("demands_text")), demands(found)] : [],
    element("h3", {}, t("contributions")), element("p", { className: "soft" }, t("contributions_text")), contributions(found),
    element("h3", {}, t("words")), element("p", { className: "soft" }, t("words_text")), words(found),
    element("h3", {}, t("attention")), element("p", { className: "soft" }, t("attention_text")), attention(found.attention),
    element("h3", {}, t("heads")), element("p", {}, Object.entries(found.heads).map(([name, value]) => `${t(`head_${name}`)} ${percent(value)}`).join(" · ")),
  ];
}

/** A search without words: the picture alone decides. */
function pictureAlone(found, place) {
  return [
    element("p", { className: "headline" }, element("b", {}, percent(found.score)), " ", element("span", { className: "soft" }, t("score_picture", { whole: signed(found.log_odds) }))),
    note(found, place),
    ...pictureParts(found.picture),
  ];
}

/** What the picture in the search adds, by feature; nothing without a picture. */
function pictureParts(parts) {
  if (!parts.length) return [];
  return [element("h3", {}, t("picture_parts")), element("p", { className: "soft" }, t("picture_parts_text")), causesTable(parts)];
}

function note(found, { listed, reranked }) {
  if (!reranked) return element("p", { className: "notice" }, t("not_reranked"));
  if (!found.as_ranked) return element("p", { className: "notice" }, t(`not_${found.why_not}`, { version: found.model }));
  if (listed !== undefined && Math.abs(listed - found.score) > 0.005) return element("p", { className: "notice" }, t("not_same", { listed: percent(listed) }));
  return null;
}

function sentences(found, { rank, before, size, window: candidates, byVectors }) {
  const { evidence } = found;
  const way = t(evidence.log_odds > TELLING ? "way_up" : evidence.log_odds < -TELLING ? "way_down" : "way_not");
  const said = [];
  if (rank === undefined) said.push(t("says_only_below", { n: size }));
  else if (before === undefined) said.push(t(byVectors ? "says_by_vectors" : "says_below", { to: rank, n: candidates }));
  else said.push(t(before === rank ? "says_stays" : before > rank ? "says_moved_up" : "says_moved_down", { from: before, to: rank }));
  said.push(evidence.keyword_rank
    ? t("says_keyword", { share: percent(evidence.bm25 / evidence.best_bm25), way })
    : t(byVectors ? "says_no_score" : "says_no_keyword", { n: candidates, way }));
  said.push(evidence.vector_rank ? t("says_vector", { n: evidence.vector_rank }) : t("says_no_vector", { n: candidates }));
  const has = found.words.filter((word) => word.fields.length).map((word) => word.text);
  const lacks = found.words.filter((word) => !word.fields.length).map((word) => word.text);
  if (found.words.length) said.push(!lacks.length ? t("says_words_all") : !has.length ? t("says_words_none") : t("says_words_some", { found: list(has), missing: list(lacks) }));
  for (const { text, weights } of wordsOf(found).slice(0, WORDS_SAID)) {
    const best = weights.indexOf(Math.max(...weights));
    const product = found.attention.product[best];
    if (product?.text) said.push(t("says_attends", { query: text, product: product.text, field: t(`field_${product.field || "other"}`), weight: percent(weights[best]) }));
  }
  const causes = causesOf(found).filter((cause) => Math.abs(cause.log_odds) >= TELLING);
  const named = (of) => list(of.slice(0, 3).map((cause) => `“${t(`feature_${cause.name}`)}” (${signed(cause.log_odds)})`));
  const good = causes.filter((cause) => cause.log_odds > 0), bad = causes.filter((cause) => cause.log_odds < 0);
  if (good.length) said.push(t("says_for", { list: named(good) }));
  if (bad.length) said.push(t("says_against", { list: named(bad) }));
  return said;
}

/** The query's whole words, each with the mean of its tokens' attention: {text, weights}. */
function wordsOf({ words, attention }) {
  const folded = (text) => text.normalize("NFKC").toLowerCase();
  const whole = [];
  let row = 0;
  for (const { text } of words) {
    for (let from = row; from < attention.query.length; from += 1) {
      let to = from, read = "";
      while (to < attention.query.length && read.length < text.length) read += folded(attention.query[to++]);
      if (read !== folded(text)) continue;
      const rows = attention.weights.slice(from, to);
      whole.push({ text, weights: rows[0].map((_, i) => rows.reduce((sum, weights) => sum + weights[i], 0) / rows.length) });
      row = to;
      break;
    }
  }
  return whole;
}

const list = (items) => new Intl.ListFormat(document.documentElement.lang, { type: "conjunction" }).format(items);

/** All causes, the weightiest first: the model's features and the keyword search's evidence. */
function causesOf(found) {
  const { evidence } = found;
  const share = evidence.best_bm25 ? evidence.bm25 / evidence.best_bm25 : 0;
  const keyword = { name: "keyword", value: share, typical: evidence.typical_share, log_odds: evidence.log_odds };
  return [...found.features, keyword].sort((a, b) => Math.abs(b.log_odds) - Math.abs(a.log_odds));
}

function contributions(found) {
  return causesTable(causesOf(found));
}

/** Causes with what they are here, what they usually are, and what they add. */
function causesTable(causes) {
  const most = Math.max(...causes.map((cause) => Math.abs(cause.log_odds)), 1e-9);
  return element("table", { className: "causes" },
    element("thead", {}, element("tr", {}, ["cause", "value", "typical", "effect"].map((name) => element("th", { scope: "col" }, t(`column_${name}`))))),
    element("tbody", {}, causes.map((cause) => element("tr", {},
      element("th", { scope: "row" }, t(`feature_${cause.name}`)),
      element("td", {}, decimal(cause.value)), element("td", { className: "soft" }, decimal(cause.typical)),
      element("td", { className: "effect" }, diverging(cause.log_odds, most))))));
}

/** A number, and a bar from the middle to its right or left. */
function diverging(value, most) {
  const half = 50 * Math.abs(value) / most;
  return element("span", { className: "diverging" },
    element("span", { className: "axis", "aria-hidden": "true" },
      element("span", { className: value < 0 ? "bad" : "good", style: { left: `${value < 0 ? 50 - half : 50}%`, width: `${half}%` } })),
    element("span", {}, signed(value)));
}

function words(found) {
  const most = Math.max(...found.words.map((word) => Math.abs(word.log_odds ?? 0)), 1e-9);
  return element("table", { className: "causes" }, element("tbody", {}, found.words.map((word) => element("tr", {},
    element("th", { scope: "row" }, word.text),
    element("td", { className: word.fields.length ? "soft" : "missing" },
      word.fields.length ? t("word_found", { fields: list(word.fields.map((field) => t(`field_${field}`))) }) : t("word_missing")),
    element("td", { className: "effect" }, word.log_odds === null ? element("span", { className: "soft" }, t("word_only")) : diverging(word.log_odds, most))))));
}

/** What the query demands, and whether the product's facts satisfy or contradict it. */
function demands(found) {
  const most = Math.max(...found.demands.map((demand) => Math.abs(demand.log_odds)), 1e-9);
  return element("table", { className: "causes demands" }, element("tbody", {}, found.demands.map((demand) => element("tr", {},
    element("th", { scope: "row" }, t("understood_part", { text: demand.text, kind: t(`kind_${demand.kind}`) })),
    element("td", { className: demand.outcome === "contradicted" ? "missing" : "soft" }, t(`outcome_${demand.outcome}`)),
    element("td", { className: "effect" }, diverging(demand.log_odds, most))))));
}

/** The map: query tokens × product tokens, as weights or as cosines. */
function attention(map) {
  const holder = element("div", { className: "map", tabIndex: 0, role: "region", "aria-label": t("attention") });
  const draw = (kind) => fill(holder, table(map, kind));
  const choice = (kind, label) => element("label", {}, element("input", { type: "radio", name: "map", checked: kind === "weights", onchange: () => draw(kind) }), " ", t(label));
  draw("weights");
  return element("div", {}, element("div", { className: "row" }, choice("weights", "show_weights"), choice("cosines", "show_cosines")), holder);
}

function table(map, kind) {
  const spans = [];
  for (const { field } of map.product) {
    if (spans.length && spans.at(-1).field === field) spans.at(-1).count += 1;
    else spans.push({ field, count: 1 });
  }
  const cell = (value) => {
    const strength = Math.max(0, Math.min(1, value));
    const shown = strength >= 0.05 ? (kind === "weights" ? percent(value).replace(/\s?%/, "") : decimal(value, 1)) : "";
    return element("td", { style: { "--heat": strength }, title: kind === "weights" ? percent(value) : decimal(value) }, shown);
  };
  const most = Math.max(...map.log_odds.map((value) => Math.abs(value ?? 0)), 1e-9);
  return element("table", {},
    element("thead", {},
      element("tr", { className: "fields" }, element("td", {}), spans.map(({ field, count }) => {
        const name = t(`field_${field || "other"}`);
        return element("th", { colSpan: count, scope: "colgroup", className: name.length > 4 * count ? "narrow" : "", title: name }, element("span", {}, name));
      })),
      element("tr", {}, element("td", {}), map.product.map(({ text }) => element("th", { scope: "col", className: "word" }, element("span", {}, text || "·"))))),
    element("tbody", {}, map.query.map((text, row) => element("tr", {}, element("th", { scope: "row" }, text || "·"), map[kind][row].map(cell)))),
    element("tfoot", {}, element("tr", {}, element("th", { scope: "row" }, t("without")),
      map.log_odds.map((value) => element("td", { className: value < 0 ? "bad" : "good", style: { "--heat": Math.abs(value ?? 0) / most }, title: value === null ? "" : signed(value, 3) },
        value !== null && Math.abs(value) >= TELLING ? signed(value, 1) : "")))));
}

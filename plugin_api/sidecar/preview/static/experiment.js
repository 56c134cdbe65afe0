// What came of the running experiment, asked for when its button is pressed.

import { ask } from "./api.js";
import { byId, dialogHead, element, fill } from "./elements.js";
import { number, t } from "./strings.js";

const percent = (value) => number(value, { style: "percent", maximumFractionDigits: 1 });

/** Shows the button where there is an experiment. */
export function offerExperiment(name) {
  byId("experiment-button").hidden = !name;
  byId("experiment-button").onclick = () => show(name);
}

async function show(name) {
  const dialog = byId("experiment");
  const head = () => dialogHead(dialog, t("experiment_named", { name }), t("close"));
  fill(dialog, head(), element("p", { className: "soft" }, t("searching")));
  dialog.showModal();
  try {
    fill(dialog, head(), ...describe(await ask("experiment")));
  } catch (error) {
    fill(dialog, head(), element("p", { className: "notice" }, error.message));
  }
}

function describe(result) {
  const { preference, rates } = result;
  const stopped = Object.entries(result.stopped).map(([variant, reason]) =>
    element("p", { className: "notice" }, t("experiment_stopped", { variant: named(variant), reason })));
  const nothing = !preference && !result.variants.length;
  return [...stopped, written(result.written),
    preference && element("p", {}, t("experiment_preference", {
      first: number(preference.first), second: number(preference.second), ties: number(preference.ties), p: preference.test.p.toFixed(3) })),
    result.variants.length > 0 && table(result.variants),
    rates && element("p", {}, t("experiment_rates", { share: percent(rates.share), p: rates.p.toFixed(3) })),
    nothing && element("p", {}, t("experiment_nothing")),
    element("p", { className: "soft" }, t("experiment_how"))];
}

const named = (variant) => t(`variant_${variant}`);

function written(variants) {
  return element("table", { className: "causes" }, element("tbody", {}, Object.entries(variants).map(([name, text]) =>
    element("tr", {}, element("th", { scope: "row" }, named(name)), element("td", {}, text.trim() || t("experiment_as_set"))))));
}

function table(variants) {
  const columns = ["variant", "searches", "acted", "empty", "slow", "ms", "revenue", "always"];
  return element("table", { className: "causes" },
    element("thead", {}, element("tr", {}, columns.map((name) => element("th", { scope: "col" }, t(`experiment_${name}`))))),
    element("tbody", {}, variants.map((one) => {
      const share = (count) => percent(count / (one.searches || 1));
      return element("tr", { "data-variant": one.name }, element("th", { scope: "row" }, named(one.name)),
        [number(one.searches), share(one.acted), share(one.empty), share(one.slow), number(one.mean_ms), number(one.revenue),
          one.value ? `${percent(one.value.mean)} (${percent(one.value.low)} – ${percent(one.value.high)})` : "–"]
          .map((text) => element("td", {}, text)));
    })));
}

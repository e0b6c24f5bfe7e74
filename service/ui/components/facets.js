/** How many of the sounds that are found have each tag, licence, source and so on; each value is a
 * filter to choose. */

import { isAbort } from "../lib/api.js";
import { getFacets } from "../lib/curation-api.js";
import { find, focused, make } from "../lib/dom.js";
import { key, number } from "../lib/format.js";
import { conditionsOf } from "../lib/query.js";

/** @import { Facets } from "../lib/curation-api.js" */
/** @import { Query } from "../lib/query.js" */

/** @typedef {{text: string, count: number, on: boolean, change: Partial<Query>}} Choice */

const NAMES = 12; // listed of each facet
const OPEN = 3; // facets that are open at first
/** @type {(query: Query) => void} */
let apply = () => {};
let pending = new AbortController();

/** @param {(query: Query) => void} onChange called with the query that the user has asked for */
export function start(onChange) {
  apply = onChange;
}

/** Count and show the facets of a query. @param {Query} query */
export async function show(query) {
  pending.abort();
  const { signal } = (pending = new AbortController());
  const parameters = conditionsOf(query);
  parameters.set("names", String(NAMES));
  try {
    draw(query, await getFacets(parameters, signal));
  } catch (error) {
    if (!isAbort(error)) find("facets").replaceChildren(make("p", { class: "quiet" }, "The counts cannot be read now."));
  }
}

/** @param {Query} query @param {Facets} facets */
function draw(query, facets) {
  const open = new Map([...document.querySelectorAll("#facets details")]
    .map((node) => [node.id, node.hasAttribute("open")]));
  const place = find("facets");
  const active = place.contains(focused()) ? focused()?.getAttribute("data-choice") : null;
  place.replaceChildren(...groupsOf(query, facets).filter(({ choices }) => choices.length)
    .map(({ name, choices }, rank) => {
      const id = `facet-${name.toLowerCase().replace(/ /g, "-")}`;
      const chosen = choices.some(({ on }) => on);
      return make("details", { id, open: open.get(id) ?? (chosen || rank < OPEN) },
        make("summary", { "data-choice": id }, name),
        make("ul", {}, ...choices.map((choice) => choiceItem(query, choice, `${id}: ${choice.text}`))));
    }));
  const again = active && place.querySelector(`[data-choice="${CSS.escape(active)}"]`);
  if (again instanceof HTMLElement) again.focus();
}

/** @param {Query} query @param {Choice} choice @param {string} id */
function choiceItem(query, { text, count, on, change }, id) {
  const box = make("input", { type: "checkbox", "data-choice": id, onchange: () => apply({ ...query, ...change }) });
  box.checked = on;
  return make("li", {}, make("label", {}, box, make("span", {}, text),
    make("span", { class: "times" }, number(count))));
}

/** @param {Query} query @param {Facets} facets @returns {{name: string, choices: Choice[]}[]} */
function groupsOf(query, facets) {
  const rows = (/** @type {any[]} */ counts, /** @type {string} */ field) =>
    counts.map((one) => /** @type {[string, number]} */ ([String(one[field]), one.count]));
  return [
    { name: "Tags", choices: several(query, "tags", rows(facets.tags, "tag")) },
    { name: "Licences", choices: several(query, "licences", rows(facets.licences, "licence")) },
    { name: "Sources", choices: several(query, "sources", rows(facets.sources, "source")) },
    { name: "Collections", choices: several(query, "collections",
      facets.collections.map((one) => [one.collection, one.count]), (id) => facets.collections.find((one) => one.collection === id)?.name ?? id) },
    { name: "Taught sounds", choices: several(query, "classifiers",
      (facets.classifiers ?? []).map((one) => [one.classifier, one.count]), (id) => facets.classifiers?.find((one) => one.classifier === id)?.name ?? id) },
    { name: "Categories", choices: several(query, "categories", rows(facets.categories, "category")) },
    { name: "Loudness", choices: loudness(query, facets.loudness) },
    { name: "Sample rate", choices: several(query, "sampleRates", rows(facets.sample_rates, "sample_rate"), (rate) => `${Number(rate) / 1000} kHz`) },
    { name: "Channels", choices: several(query, "channels", rows(facets.channels, "channels"), (count) => ({ 1: "mono", 2: "stereo" }[count] ?? count)) },
    { name: "Added", choices: months(query, facets.added) },
  ];
}

/** Values of which several can be chosen; those that are chosen are listed in any case.
 * @param {Query} query @param {"tags" | "licences" | "sources" | "collections" | "classifiers" | "categories" | "sampleRates" | "channels"} field
 * @param {[string, number][]} counts @param {(value: string) => string} [name] @returns {Choice[]} */
function several(query, field, counts, name = (value) => value) {
  const chosen = query[field];
  const isChosen = (/** @type {string} */ value) => chosen.some((other) => key(other) === key(value));
  const listed = [...counts, ...chosen.filter((value) => !counts.some(([other]) => key(other) === key(value)))
    .map((value) => /** @type {[string, number]} */ ([value, 0]))];
  return listed.map(([value, count]) => ({
    text: name(value), count, on: isChosen(value),
    change: { [field]: isChosen(value) ? chosen.filter((other) => key(other) !== key(value)) : [...chosen, value] },
  }));
}

/** Ranges of which one can be chosen. @param {Query} query @param {Facets["loudness"]} counts @returns {Choice[]} */
function loudness(query, counts) {
  return counts.map(({ min, max, count }) => {
    const [from, to] = [min, max].map((value) => (value === null ? "" : String(value)));
    const on = query.minLoudness === from && query.maxLoudness === to;
    const text = min === null ? `up to ${max}` : max === null ? `from ${min}` : `${min} to ${max}`;
    return { text: `${text} LUFS`, count, on, change: { minLoudness: on ? "" : from, maxLoudness: on ? "" : to } };
  });
}

/** Months of which one can be chosen. @param {Query} query @param {Facets["added"]} counts @returns {Choice[]} */
function months(query, counts) {
  return counts.slice(0, NAMES).map(({ month, count }) => {
    const [year, of] = month.split("-").map(Number);
    const next = of === 12 ? `${year + 1}-01` : `${year}-${String(of + 1).padStart(2, "0")}`;
    const on = query.addedAfter === month && query.addedBefore === next;
    return { text: month, count, on, change: on ? { addedAfter: "", addedBefore: "" } : { addedAfter: month, addedBefore: next } };
  });
}

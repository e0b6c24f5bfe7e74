/** The filters of a search: their form, and the chips of those that are active. */

import { find, findInput, focused, make } from "../lib/dom.js";
import { preciseRange } from "../lib/format.js";
import { SORTS, hasValidDurations, partOf, toCall, withTag, withoutFilters } from "../lib/query.js";
import { current } from "./collection-bar.js";
import * as facets from "./facets.js";

/** @import { Query } from "../lib/query.js" */

const PAUSE_MS = 300; // after a digit of a duration
const LENGTHS = [["Under 2 s", "", "2"], ["2 to 10 s", "2", "10"], ["10 s to 1 min", "10", "60"],
  ["Over 1 min", "60", ""]];
const BOUNDS = /** @type {const} */ ([["min-duration", "minDuration"], ["max-duration", "maxDuration"]]);

/** @type {Query} */
let query;
/** @type {(query: Query) => void} */
let apply = () => {};
let timer = 0;

/** @param {(query: Query) => void} onChange called with the query that the user has asked for */
export function start(onChange) {
  apply = onChange;
  facets.start(onChange);
  find("filters-open").addEventListener("click", () => open(Boolean(find("filters").hidden)));
  find("filters").addEventListener("submit", (event) => event.preventDefault());
  find("lengths").append(...LENGTHS.map(lengthButton));
  for (const [id] of BOUNDS) {
    find(id).addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(readDurations, PAUSE_MS);
    });
  }
  const sort = find("sort", HTMLSelectElement);
  sort.append(...Object.entries(SORTS).map(([value, name]) => make("option", { value }, name)));
  sort.addEventListener("change", () => apply({ ...query, sort: sort.value }));
  const distinct = findInput("distinct");
  distinct.addEventListener("change", () => apply({ ...query, distinct: distinct.checked }));
}

/** A button for a usual range, which a second click takes back. @param {string[]} length */
function lengthButton([name, minDuration, maxDuration]) {
  return make("button", {
    type: "button", class: "chip",
    onclick: () => {
      const pressed = isLength([name, minDuration, maxDuration]);
      apply({ ...query, minDuration: pressed ? "" : minDuration, maxDuration: pressed ? "" : maxDuration });
    },
  }, name);
}

/** @param {string[]} length */
const isLength = ([, low, high]) => query.minDuration === low && query.maxDuration === high;

/** @param {boolean} visible */
function open(visible) {
  find("filters").hidden = !visible;
  find("filters-open").setAttribute("aria-expanded", String(visible));
  if (visible) facets.show(query);
}

function readDurations() {
  const [low, high] = BOUNDS.map(([id]) => findInput(id));
  const changed = { ...query, minDuration: low.value, maxDuration: high.value };
  const valid = hasValidDurations(changed) && low.validity.valid && high.validity.valid;
  find("length-note").textContent = valid ? "" : "The minimum must not exceed the maximum.";
  if (valid) apply(changed);
}

/** Show the filters of a query. @param {Query} newQuery @param {string} [likeTitle] of the clip `like` */
export function show(newQuery, likeTitle) {
  query = newQuery;
  const { kind } = toCall(query);
  for (const [place, length] of LENGTHS.entries()) {
    find("lengths").children[place].setAttribute("aria-pressed", String(isLength(length)));
  }
  for (const [id, field] of BOUNDS) {
    if (find(id) !== focused()) findInput(id).value = query[field];
  }
  find("sort", HTMLSelectElement).value = query.sort;
  findInput("distinct").checked = query.distinct;
  find("sorts").hidden = kind !== "search" && kind !== "clips"; // others have an order of their own
  find("distincts").hidden = kind !== "search" && kind !== "similar";
  if (!find("filters").hidden) facets.show(query);
  showChips(likeTitle);
}

/** @param {string} [likeTitle] */
function showChips(likeTitle) {
  const list = find("active-filters");
  const place = [...list.querySelectorAll("button")].findIndex((button) => button === focused());
  const { like, tags, excluded, minDuration, maxDuration, licences, sources, sort, distinct } = query;
  const part = partOf(query);
  const chips = [
    like && chip(`like: ${likeTitle || "…"}`, { like: "" }),
    part ? chip(`part: ${preciseRange(part)}`, { start: "", end: "" }) : "",
    ...tags.map((tag) => tagChip(tag, "+")),
    ...excluded.map((tag) => tagChip(tag, "-")),
    (minDuration || maxDuration) && chip(lengthName(), { minDuration: "", maxDuration: "" }),
    ...licences.map((name) => chip(name, { licences: licences.filter((other) => other !== name) })),
    ...sources.map((name) => chip(name, { sources: sources.filter((other) => other !== name) })),
    ...query.categories.map((name) => chip(name, { categories: query.categories.filter((other) => other !== name) })),
    ...query.collections.map((id) => chip(`in ${nameOf(id)}`, { collections: query.collections.filter((other) => other !== id) })),
    ...query.classifiers.map((id) => chip(`sounds like ${id}`, { classifiers: query.classifiers.filter((other) => other !== id) })),
    ...query.sampleRates.map((rate) => chip(`${Number(rate) / 1000} kHz`, { sampleRates: query.sampleRates.filter((other) => other !== rate) })),
    ...query.channels.map((count) => chip(`${count} ${count === "1" ? "channel" : "channels"}`, { channels: query.channels.filter((other) => other !== count) })),
    (query.minLoudness || query.maxLoudness) && chip(loudnessName(), { minLoudness: "", maxLoudness: "" }),
    (query.addedAfter || query.addedBefore) && chip(addedName(), { addedAfter: "", addedBefore: "" }),
    sort && /search|clips/.test(toCall(query).kind) && chip(SORTS[sort].toLowerCase(), { sort: "" }),
    distinct && chip("near-duplicates hidden", { distinct: false }),
  ].filter((item) => typeof item === "object");
  if (chips.length > 1 + Number(like !== "") + Number(part !== null)) {
    chips.push(make("li", {}, make("button", {
      type: "button", class: "link", onclick: () => apply(withoutFilters(query)),
    }, "Clear all")));
  }
  list.replaceChildren(...chips);
  if (place < 0) return;
  const buttons = list.querySelectorAll("button"); // the focus stays about where it was
  (buttons[Math.min(place, buttons.length - 1)] ?? find("query")).focus();
}

/** A tag with its sign: one button changes the sign, the other removes the tag.
 * @param {string} tag @param {"+" | "-"} sign */
function tagChip(tag, sign) {
  const [name, other] = sign === "+" ? ["With", "without"] : ["Without", "with"];
  return make("li", { class: "chip active-filter", "data-sign": sign },
    make("button", {
      type: "button", class: "change-sign", "aria-label": `${name} ${tag}; change to ${other}`,
      title: `Change to ${other}`,
      onclick: () => apply(withTag(query, tag, sign === "+" ? "-" : "+")),
    }, tag),
    removeButton(tag, () => apply(withTag(query, tag, ""))));
}

/** @param {string} name @param {Partial<Query>} change that removes the filter */
const chip = (name, change) => make("li", { class: "chip active-filter" },
  make("span", {}, name), removeButton(name, () => apply({ ...query, ...change })));

/** @param {string} name @param {() => void} onclick */
const removeButton = (name, onclick) =>
  make("button", { type: "button", class: "remove", "aria-label": `Remove ${name}`, onclick });

/** @param {string} id of a collection */
const nameOf = (id) => (current()?.id === id ? current()?.name ?? id : id);

function loudnessName() {
  const { minLoudness, maxLoudness } = query;
  if (!maxLoudness) return `from ${minLoudness} LUFS`;
  return minLoudness ? `${minLoudness} to ${maxLoudness} LUFS` : `up to ${maxLoudness} LUFS`;
}

function addedName() {
  const { addedAfter, addedBefore } = query;
  if (!addedAfter) return `added before ${addedBefore}`;
  return `added from ${addedAfter}${addedBefore ? ` to before ${addedBefore}` : ""}`;
}

function lengthName() {
  const { minDuration, maxDuration } = query;
  const usual = LENGTHS.find(isLength);
  if (usual) return usual[0].toLowerCase();
  if (!maxDuration) return `from ${minDuration} s`;
  return minDuration ? `${minDuration} to ${maxDuration} s` : `up to ${maxDuration} s`;
}

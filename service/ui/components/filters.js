/** What narrows a search: the form of filters, and the chips of all that is chosen. */

import * as api from "../lib/api.js";
import { find, make } from "../lib/dom.js";
import { SORTS, asCall, cleared, isRange, withTag } from "../lib/query.js";

const PAUSE_MS = 300; // after a digit of a duration
const LENGTHS = [["Under 2 s", "", "2"], ["2 to 10 s", "2", "10"], ["10 s to 1 min", "10", "60"],
  ["Over 1 min", "60", ""]];
const CHOICES = [["only-licence", "licences", "Any licence"], ["only-source", "sources", "Any source"]];

let query = null; // that is shown
let apply = () => {};
let summary = null; // of the library, once asked for
let timer = 0;

/** Listen to the form and the chips; `use(query)` is told what they ask for. */
export function start(use) {
  apply = use;
  find("filters-open").addEventListener("click", () => open(find("filters").hidden));
  find("filters").addEventListener("submit", (event) => event.preventDefault());
  find("lengths").append(...LENGTHS.map(([name, least, most]) => make("button", {
    type: "button", class: "chip", onclick: (event) => {
      const on = event.target.getAttribute("aria-pressed") === "true";
      apply({ ...query, least: on ? "" : least, most: on ? "" : most });
    },
  }, name)));
  for (const id of ["least", "most"]) {
    find(id).addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(takeDurations, PAUSE_MS);
    });
  }
  find("sort").append(...Object.entries(SORTS).map(([value, name]) => make("option", { value }, name)));
  find("sort").addEventListener("change", () => apply({ ...query, sort: find("sort").value }));
  find("distinct").addEventListener("change", () =>
    apply({ ...query, distinct: find("distinct").checked }));
  for (const [id, name] of CHOICES) {
    find(id).addEventListener("change", () =>
      apply({ ...query, [name]: [find(id).value].filter(Boolean) }));
  }
}

function open(wanted) {
  find("filters").hidden = !wanted;
  find("filters-open").setAttribute("aria-expanded", wanted);
  if (wanted) fill();
}

/** Put the library's licences and sources into the form; they are left out where it tells none. */
async function fill() {
  summary ??= api.library(0).catch(() => ({}));
  const { licences = [], sources = [] } = await summary;
  options("only-licence", licences.map(({ licence, count }) => [licence, count]));
  options("only-source", sources.map(({ source, count }) => [source, count]));
}

function options(id, values) {
  const [, name, any] = CHOICES.find(([each]) => each === id);
  const listed = values.filter(([value]) => value);
  for (const value of query[name]) {
    if (!listed.some(([each]) => each === value)) listed.push([value, 0]);
  }
  find(id).replaceChildren(make("option", { value: "" }, any),
    ...listed.map(([value, count]) =>
      make("option", { value }, count ? `${value} (${count})` : value)));
  find(id).value = query[name][0] ?? "";
  find(`${id}s`).hidden = !listed.length;
}

function takeDurations() {
  const wanted = { ...query, least: find("least").value, most: find("most").value };
  const right = isRange(wanted) && find("least").validity.valid && find("most").validity.valid;
  find("length-note").textContent = right ? "" : "From the shorter to the longer, please.";
  if (right) apply(wanted);
}

/** Show what is chosen; `likeTitle` is the title of the sound that others are to be like. */
export function show(shown, likeTitle) {
  query = shown;
  const { kind } = asCall(query);
  for (const [place, [, least, most]] of LENGTHS.entries()) {
    const on = query.least === least && query.most === most;
    find("lengths").children[place].setAttribute("aria-pressed", on);
  }
  for (const id of ["least", "most"]) {
    if (find(id) !== document.activeElement) find(id).value = query[id];
  }
  find("sort").value = query.sort;
  find("distinct").checked = query.distinct;
  find("sorts").hidden = kind === "similar" || kind === "clips"; // they have an order of their own
  find("distincts").hidden = kind === "clips";
  if (!find("filters").hidden) fill();
  showChips(likeTitle);
}

function showChips(likeTitle) {
  const list = find("chosen");
  const place = [...list.querySelectorAll("button")].indexOf(document.activeElement);
  const items = [
    query.like && chip(`like: ${likeTitle || "…"}`, { like: "" }),
    ...query.tags.map((tag) => tagChip(tag, "+")),
    ...query.without.map((tag) => tagChip(tag, "-")),
    (query.least || query.most) && chip(lengthName(query), { least: "", most: "" }),
    ...query.licences.map((each) =>
      chip(each, { licences: query.licences.filter((other) => other !== each) })),
    ...query.sources.map((each) =>
      chip(each, { sources: query.sources.filter((other) => other !== each) })),
    query.sort && asCall(query).kind === "search" && chip(SORTS[query.sort].toLowerCase(), { sort: "" }),
    query.distinct && chip("folded", { distinct: false }),
  ].filter(Boolean);
  const all = items.length > 1 + Boolean(query.like);
  list.replaceChildren(...items, ...(all ? [make("li", {}, make("button", {
    type: "button", class: "link", onclick: () => apply(cleared(query)),
  }, "Clear all"))] : []));
  if (place < 0) return;
  const left = list.querySelectorAll("button"); // the focus stays about where it was
  (left[Math.min(place, left.length - 1)] ?? find("query")).focus();
}

/** A tag with its sign: one button turns it round, the other takes it away. */
function tagChip(tag, sign) {
  const [now, other] = sign === "+" ? ["With", "without"] : ["Without", "with"];
  return make("li", { class: "chip chosen", "data-sign": sign },
    make("button", {
      type: "button", class: "turn", "aria-label": `${now} ${tag}; change to ${other}`,
      title: `Change to ${other}`,
      onclick: () => apply(withTag(query, tag, sign === "+" ? "-" : "+")),
    }, tag),
    make("button", {
      type: "button", class: "away", "aria-label": `Remove ${tag}`,
      onclick: () => apply(withTag(query, tag, "")),
    }));
}

function chip(name, change) {
  return make("li", { class: "chip chosen" }, make("span", {}, name), make("button", {
    type: "button", class: "away", "aria-label": `Remove ${name}`,
    onclick: () => apply({ ...query, ...change }),
  }));
}

function lengthName({ least, most }) {
  const named = LENGTHS.find(([, low, high]) => low === least && high === most);
  if (named) return named[0].toLowerCase();
  if (!most) return `from ${least} s`;
  return least ? `${least} to ${most} s` : `up to ${most} s`;
}

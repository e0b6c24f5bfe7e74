/** The map's colours: tags in the legend, and which sounds stand out. */

import * as api from "../lib/api.js";
import { FORMS } from "./scatter.js";
import { complain, find, make, shape } from "../lib/dom.js";
import { chart, count, picture, say } from "./state.js";

const COLOURS = FORMS.length - 1; // the last form is for all other sounds
const BEST = 20; // sounds for words that stand out, and those that have the words

let coloured = []; // names (numbers of them) in colour
let chosen = null; // the name that is highlighted
let words = ""; // those whose sounds are highlighted
let found = null; // points of these
let searching = new AbortController();

/** Listen to the legend, and to the fields for a tag and for words. */
export function start() {
  chart.canvas.addEventListener("settled", placeLabels);
  find("map-legend").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) choose(Number(button.dataset.name));
  });
  find("map-colour").addEventListener("submit", colour);
  find("map-tag").addEventListener("input", (event) => {
    if (event.inputType === undefined || event.inputType === "insertReplacementText") colour(event);
  });
  find("map-search").addEventListener("submit", (event) => {
    event.preventDefault();
    highlight();
  });
  find("map-words").addEventListener("input", () => !find("map-words").value && highlight());
}

/** Other sounds are shown than `before`: the legend stays as far as it can. */
export function colourTags(before) {
  const { names } = picture.shown;
  const kept = before ? coloured.map((number) => names.indexOf(before.names[number])) : [];
  const keptChoice = chosen === null ? null : names.indexOf(before.names[chosen]);
  coloured = kept.filter((number) => number >= 0);
  while (coloured.length < Math.min(COLOURS, names.length)) coloured.push(nextColour());
  chosen = keptChoice === -1 ? null : keptChoice;
  find("map-tags").replaceChildren(...names.slice(0, 300).map((name) => make("option", { value: name })));
  recolour();
  if (words) highlight();
}

/** The most frequent tag of the sounds that have no colour yet, or of all. */
function nextColour() {
  const { tags } = picture.shown.points;
  const counts = new Uint32Array(picture.shown.names.length);
  for (const own of tags) {
    if (!own.some((name) => coloured.includes(name))) own.forEach((name) => { counts[name] += 1; });
  }
  let best = picture.shown.names.findIndex((_, name) => !coloured.includes(name));
  counts.forEach((times, name) => { if (times > counts[best]) best = name; });
  return best;
}

/** Each sound in the colour of the rarest of its tags that have one: that says most of it. */
function recolour() {
  const { tags } = picture.shown.points;
  chart.kinds = Uint8Array.from(tags, (own) => {
    for (let place = own.length - 1; place >= 0; place--) {
      const kind = coloured.indexOf(own[place]);
      if (kind >= 0) return kind;
    }
    return COLOURS;
  });
  const held = document.activeElement?.closest("#map-legend button")?.dataset.name;
  find("map-legend").replaceChildren(...coloured.map((name, kind) => make("li", {},
    make("button", { type: "button", class: "chip", "data-name": name, "aria-pressed": String(name === chosen) },
      shape("svg", { viewBox: "-8 -8 16 16", class: `map-${kind}`, "aria-hidden": true },
        shape("path", { d: FORMS[kind] })),
      picture.shown.names[name]))));
  find("map-legend").querySelector(`[data-name="${held}"]`)?.focus();
  placeLabels();
  chart.marked = marked();
  chart.paint();
}

/** Names in colour, where most of their sounds are. */
function placeLabels() {
  if (!picture.shown || chart.canvas.clientWidth < 480) return void (chart.labels = []);
  const placed = [];
  coloured.forEach((name, kind) => {
    const cells = new Map();
    let all = 0;
    picture.shown.points.tags.forEach((_, point) => {
      if (chart.kinds[point] !== kind) return;
      all += 1;
      const cell = `${Math.round(chart.x[point] * 9)} ${Math.round(chart.y[point] * 9)}`;
      cells.set(cell, [...(cells.get(cell) ?? []), point]);
    });
    const best = [...cells.values()].sort((one, other) => other.length - one.length)[0] ?? [];
    if (best.length < Math.max(3, 0.12 * all)) return; // they lie everywhere
    const middle = (values) => best.reduce((sum, point) => sum + values[point], 0) / best.length;
    const top = Math.min(...best.map((point) => chart.y[point]));
    const label = { text: picture.shown.names[name], x: middle(chart.x), y: top };
    if (placed.every(({ x, y }) => Math.abs(x - label.x) > 0.12 || Math.abs(y - label.y) > 0.05)) placed.push(label);
  });
  chart.labels = placed;
  chart.draw();
}

function colour(event) {
  event.preventDefault();
  const field = find("map-tag");
  const name = picture.shown.names.indexOf(field.value.trim().toLowerCase());
  if (name < 0) {
    if (event.type === "submit" && field.value) say(`No sound here has the tag “${field.value}”.`);
    return;
  }
  field.value = "";
  coloured = [name, ...coloured.filter((other) => other !== name)].slice(0, COLOURS);
  chosen = null;
  choose(name);
}

function choose(name) {
  chosen = chosen === name ? null : name;
  find("map-words").value = words = "";
  searching.abort();
  recolour();
  say(chosen === null ? "All sounds stand out alike."
    : `${count(chart.marked.size)} tagged ${picture.shown.names[name]}.`);
}

function marked() {
  if (words) return found;
  if (chosen === null) return null;
  const own = new Set();
  picture.shown.points.tags.forEach((tags, point) => tags.includes(chosen) && own.add(point));
  return own;
}

async function highlight() {
  searching.abort();
  const { signal } = (searching = new AbortController());
  words = find("map-words").value.trim();
  find("map-problem").replaceChildren();
  if (!words) {
    found = null;
    say("");
    return recolour();
  }
  say("Searching…");
  try {
    const given = new URLSearchParams([["q", words], ["k", 100], ["fields", "id"], ["fields", "why"]]);
    const { hits } = await api.sounds({ kind: "search", given }, signal);
    const fitting = hits.filter(({ why }, rank) => rank < BEST || why.matched.length);
    found = new Set(fitting.map(({ id }) => picture.numbers.get(id)).filter((point) => point !== undefined));
    chosen = null;
    recolour();
    say(found.size ? `The ${count(found.size)} that fit “${words}” best stand out.`
      : `Nothing found for “${words}”.`);
  } catch (error) {
    if (error.name === "AbortError") return;
    say("");
    complain(find("map-problem"), error, highlight);
  }
}

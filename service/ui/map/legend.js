/** The map's legend: coloured tags, and which sounds are highlighted. */

import { getPage, isAbort } from "../lib/api.js";
import { find, findInput, focused, make, makeSvg, showError } from "../lib/dom.js";
import { key } from "../lib/format.js";
import { addColours, colourOf, placeLabels } from "./colouring.js";
import { MARKERS } from "./scatter.js";
import { announce, countSounds, scatter, shownMap, state } from "./state.js";

/** @import { MapAnswer } from "../lib/api.js" */

const COLOURS = MARKERS.length - 1; // the last marker is for all other sounds
const BEST = 20; // hits that are highlighted, with those that hold the words
const LABEL_WIDTH = 480; // px, from which the canvas has room for labels
const MAX_OFFERED = 300; // tags to choose from

/** @type {number[]} */
let coloured = []; // tags, as indices of names
/** @type {number | null} */
let chosen = null; // the tag that is highlighted
let words = ""; // that are highlighted
/** @type {Set<number> | null} */
let matches = null; // the points that match the words
let searching = new AbortController();

/** Listen to the legend, and to the fields for a tag and for words. */
export function start() {
  scatter.canvas.addEventListener("settled", updateLabels);
  find("map-legend").addEventListener("click", ({ target }) => {
    const button = target instanceof Element ? target.closest("button") : null;
    if (button) choose(Number(button.dataset.tag));
  });
  find("map-colour").addEventListener("submit", (event) => {
    event.preventDefault();
    colourTyped(true);
  });
  find("map-tag").addEventListener("input", (event) => {
    const { inputType } = /** @type {InputEvent} */ (event);
    if (inputType === undefined || inputType === "insertReplacementText") colourTyped(false); // from the list
  });
  find("map-search").addEventListener("submit", (event) => {
    event.preventDefault();
    highlight();
  });
  find("map-words").addEventListener("input", () => !findInput("map-words").value && highlight());
}

/** Colour another map's sounds; the legend stays as far as it can. @param {MapAnswer | null} before */
export function update(before) {
  const { names, points } = shownMap();
  /** @param {number} tag of the map before */
  const moved = (tag) => names.indexOf(before?.names[tag] ?? "");
  const stays = before ? coloured.map(moved).filter((tag) => tag >= 0) : [];
  coloured = addColours(points.tags, names.length, stays, COLOURS);
  if (chosen !== null) chosen = moved(chosen) < 0 ? null : moved(chosen);
  find("map-tags").replaceChildren(...names.slice(0, MAX_OFFERED).map((name) => make("option", { value: name })));
  recolour();
  if (words) highlight();
}

function recolour() {
  const { names, points } = shownMap();
  scatter.markers = Uint8Array.from(points.tags, (tags) => colourOf(tags, coloured, COLOURS));
  const hadFocus = focused()?.closest("#map-legend button")?.getAttribute("data-tag");
  find("map-legend").replaceChildren(...coloured.map((tag, colour) => make("li", {},
    make("button", { type: "button", class: "chip", "data-tag": tag, "aria-pressed": String(tag === chosen) },
      makeSvg("svg", { viewBox: "-8 -8 16 16", class: `map-${colour}`, "aria-hidden": true },
        makeSvg("path", { d: MARKERS[colour] })),
      names[tag]))));
  for (const button of find("map-legend").querySelectorAll("button")) {
    if (button.dataset.tag === hadFocus) button.focus();
  }
  updateLabels();
  scatter.viewport.highlighted = highlightedPoints();
  scatter.redraw();
}

function updateLabels() {
  const { x, y } = scatter.viewport;
  const roomy = state.answer && scatter.canvas.clientWidth >= LABEL_WIDTH;
  const names = coloured.map((tag) => shownMap().names[tag]);
  scatter.labels = roomy ? placeLabels(x, y, scatter.markers, names) : [];
  scatter.draw();
}

/** Colour the tag that was typed. @param {boolean} submitted */
function colourTyped(submitted) {
  const field = findInput("map-tag");
  const tag = shownMap().names.map(key).indexOf(key(field.value.trim()));
  if (tag < 0) {
    if (submitted && field.value) announce(`No sound here has the tag “${field.value}”.`);
    return;
  }
  field.value = "";
  coloured = [tag, ...coloured.filter((other) => other !== tag)].slice(0, COLOURS);
  chosen = null;
  choose(tag);
}

/** Highlight a tag's sounds, or take that back. @param {number} tag */
function choose(tag) {
  chosen = chosen === tag ? null : tag;
  findInput("map-words").value = words = "";
  searching.abort();
  recolour();
  announce(chosen === null ? "The highlight is off."
    : `${countSounds(scatter.viewport.highlighted?.size ?? 0)} tagged ${shownMap().names[tag]}.`);
}

function highlightedPoints() {
  if (words) return matches;
  const tag = chosen;
  if (tag === null) return null;
  const { tags } = shownMap().points;
  return new Set([...tags.keys()].filter((point) => tags[point].includes(tag)));
}

/** Highlight the sounds that match the words that were typed. */
async function highlight() {
  searching.abort();
  const { signal } = (searching = new AbortController());
  words = findInput("map-words").value.trim();
  find("map-problem").replaceChildren();
  if (!words) {
    matches = null;
    announce("");
    return recolour();
  }
  announce("Searching…");
  try {
    const parameters = new URLSearchParams([["q", words], ["k", "100"], ["fields", "id"], ["fields", "why"]]);
    const { hits = [] } = await getPage({ kind: "search", parameters }, signal);
    const best = hits.filter(({ why }, rank) => rank < BEST || why?.matched.length);
    matches = new Set(best.map(({ id }) => state.indices.get(id)).filter((point) => point !== undefined));
    chosen = null;
    recolour();
    announce(matches.size ? `${countSounds(matches.size)} matching “${words}” highlighted.`
      : `Nothing found for “${words}”.`);
  } catch (error) {
    if (isAbort(error)) return;
    announce("");
    showError(find("map-problem"), error, highlight);
  }
}

/** The sounds that are selected among the results: by click, a range with Shift, by key, or all of
 * a search. */

import { find, focused, make } from "../lib/dom.js";
import { count } from "../lib/format.js";

/** @import { Clip, Hit } from "../lib/api.js" */

/** @type {Map<string, Clip>} */
const selected = new Map();
/** @type {Record<string, string>} */
const SELECT = { "": "Select all", all: "Select all of this search", likely: "Select all that are likely" };
/** @type {Record<string, string>} */
const ALL = { all: "All of this search selected", likely: "All that are likely selected" };
/** @type {Hit[]} */
let listed = []; // in the order of the page
let more = ""; // what else the search finds that can be chosen: "all", the "likely" ones, or nothing
let search = ""; // the address of what lists them
let isAll = false; // all that the search finds is selected, also what is not shown
/** @type {string | null} */
let anchor = null; // id of the sound that a range begins with
/** @type {() => void} */
let changed = () => {};

/** @param {() => void} onChange called when the selection has changed */
export function start(onChange) {
  changed = onChange;
  find("select-all").addEventListener("click", () => selectAll());
  find("select-none").addEventListener("click", () => clear());
}

/** The sounds on the page; those not among them are selected no more.
 * @param {Hit[]} clips @param {"" | "all" | "likely"} others that the search finds and that can be chosen:
 * with words the likely ones @param {string} address of the search */
export function list(clips, others, address) {
  isAll = isAll && address === search && clips.length > 0;
  [listed, more, search] = [clips, isAll ? more : others, address];
  const ids = new Set(clips.map(({ id }) => id));
  for (const id of selected.keys()) if (!ids.has(id)) selected.delete(id);
  if (isAll) selectListed();
  if (anchor && !ids.has(anchor)) anchor = null;
  show();
}

/** The checkbox of a sound. @param {Clip} clip */
export function checkbox(clip) {
  return make("input", {
    type: "checkbox", class: "select", "data-id": clip.id, "aria-label": `Select ${clip.title}`,
    onclick: (/** @type {MouseEvent} */ event) => toggle(clip.id, event.shiftKey),
  });
}

/** Select a sound or take it back; with `range`, as well all from the one before.
 * @param {string} id @param {boolean} range */
export function toggle(id, range = false) {
  const place = listed.findIndex((clip) => clip.id === id);
  if (place < 0) return;
  const select = !selected.has(id);
  const first = range && anchor ? listed.findIndex((clip) => clip.id === anchor) : place;
  isAll = false;
  for (const clip of listed.slice(Math.min(first, place), Math.max(first, place) + 1)) {
    if (select) selected.set(clip.id, clip);
    else selected.delete(clip.id);
  }
  anchor = id;
  show();
}

/** Select what is on the page, but for unlikely sounds where a search is asked for all that is likely. */
function selectListed() {
  for (const clip of listed) {
    if (more === "likely" && clip.confidence === "unlikely") selected.delete(clip.id);
    else selected.set(clip.id, clip);
  }
}

function selectAll() {
  selectListed();
  isAll = more !== "";
  show();
  find("edit-selected").focus();
}

/** Select nothing. */
export function clear() {
  selected.clear();
  [isAll, anchor] = [false, null];
  show();
}

/** The selected sounds; `all`: the whole search, of which `clips` are those on the page. */
export const selection = () => ({ clips: [...selected.values()], all: isAll });

function show() {
  const { size } = selected;
  const bar = find("selection");
  if (!size && bar.contains(focused())) find("find-status").focus({ preventScroll: true });
  bar.hidden = !size;
  document.body.classList.toggle("selecting", size > 0);
  find("selection-count").textContent = isAll ? ALL[more] ?? ALL.all : size ? `${count(size, "sound")} selected` : "";
  find("select-all").hidden = isAll || (size === listed.length && !more);
  find("select-all").textContent = SELECT[more];
  find("collect-selected").textContent = isAll ? "Keep this search…" : "Add to a collection…";
  for (const box of document.querySelectorAll("#results .select")) {
    if (box instanceof HTMLInputElement) box.checked = selected.has(box.dataset.id ?? "");
  }
  changed();
}

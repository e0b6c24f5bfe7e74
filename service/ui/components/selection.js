/** The sounds that are selected among the results: by click, a range with Shift, by key, or all of
 * a search. */

import { find, focused, make } from "../lib/dom.js";
import { count } from "../lib/format.js";

/** @import { Clip } from "../lib/api.js" */

/** @type {Map<string, Clip>} */
const selected = new Map();
/** @type {Clip[]} */
let listed = []; // in the order of the page
let hasMore = false; // the search finds sounds that are not on the page
let search = ""; // the address of what lists them
let isAll = false; // the whole search is selected, also what is not shown
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
 * @param {Clip[]} clips @param {boolean} more whether the search finds others, which can be chosen as
 * well @param {string} address of the search */
export function list(clips, more, address) {
  isAll = isAll && address === search && clips.length > 0;
  [listed, hasMore, search] = [clips, more, address];
  const ids = new Set(clips.map(({ id }) => id));
  for (const id of selected.keys()) if (!ids.has(id)) selected.delete(id);
  if (isAll) for (const clip of clips) selected.set(clip.id, clip);
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

function selectAll() {
  for (const clip of listed) selected.set(clip.id, clip);
  isAll = hasMore;
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
  find("selection-count").textContent = isAll ? "All of this search selected" : size ? `${count(size, "sound")} selected` : "";
  find("select-all").hidden = isAll || (size === listed.length && !hasMore);
  find("select-all").textContent = hasMore ? "Select all of this search" : "Select all";
  find("collect-selected").textContent = isAll ? "Keep this search…" : "Add to a collection…";
  for (const box of document.querySelectorAll("#results .select")) {
    if (box instanceof HTMLInputElement) box.checked = selected.has(box.dataset.id ?? "");
  }
  changed();
}

/** What can be done with results: select, keep and edit them, one or all that are selected. */

import { isAbort } from "../lib/api.js";
import { changeCollection, getFacets, getHistory } from "../lib/curation-api.js";
import { find, focused, make, showError } from "../lib/dom.js";
import { count } from "../lib/format.js";
import { canBeChosen, choiceOf, conditionsOf, toAddress, toCall } from "../lib/query.js";
import { withKey } from "./api-key-form.js";
import { editInPlace } from "./clip-editor.js";
import { addToCollection, keepSearch, showFavourites, star } from "./collect.js";
import * as collectionBar from "./collection-bar.js";
import { editMany } from "./edit-many.js";
import * as notice from "./notice-bar.js";
import * as selecting from "./selection.js";
import * as teach from "./teach.js";

/** @import { Clip, Hit } from "../lib/api.js" */
/** @import { Query } from "../lib/query.js" */
/** @import { Span } from "../lib/span.js" */

/**
 * What the find view offers.
 *
 * @typedef {object} Results
 * @property {() => Query} query of the results
 * @property {() => void} refresh read the results again
 * @property {(clip: Clip) => void} changed a clip has other metadata
 * @property {(id: string, before: string) => void} moved a clip is before another now
 * @property {(address: string) => void} go
 */

/** @type {Results} */
let results;
let moving = Promise.resolve();
const problem = find("find-problem");

/** @param {Results} ofView */
export function start(ofView) {
  results = ofView;
  notice.start(() => results.refresh());
  selecting.start(showTools);
  find("edit-selected").addEventListener("click", editSelected);
  find("collect-selected").addEventListener("click", collectSelected);
  find("remove-selected").addEventListener("click", removeSelected);
  find("keep-search").addEventListener("click", keep);
}

/** The sounds on the page have changed. @param {Hit[]} hits @param {boolean} more whether there are others */
export function listed(hits, more) {
  const query = results.query();
  const others = more && canBeChosen(query) ? toCall(query).kind === "search" ? "likely" : "all" : "";
  selecting.list(hits, others, toAddress(query));
}

/** The elements that a result begins and ends with.
 * @param {Hit} hit @param {() => Span | null} selectedPart of it */
export function toolsOf(hit, selectedPart) {
  const isCollection = toCall(results.query()).kind === "collection"; // which may follow a search
  return {
    select: selecting.checkbox(hit),
    star: star(hit, problem),
    teaching: teach.buttons(hit, selectedPart, problem),
    actions: [
      isCollection && mover(hit, -1), isCollection && mover(hit, 1),
      make("button", {
        type: "button", class: "link edit", "aria-label": `Edit ${hit.title}`,
        onclick: (/** @type {Event} */ event) => edit(event.currentTarget, hit.id),
      }, "Edit"),
    ],
  };
}

/** Editors that are open, by clip, to be put into results that are drawn anew: what is typed stays. */
export function openEditors() {
  /** @type {Map<string, Element>} */
  const editors = new Map();
  for (const editor of document.querySelectorAll("#results .editor")) {
    const box = editor.closest(".result")?.querySelector(".select");
    if (box instanceof HTMLElement) editors.set(box.dataset.id ?? "", editor);
  }
  return editors;
}

/** The result of a clip. @param {string} id */
export const itemOf = (id) => document.querySelector(`#results .select[data-id="${CSS.escape(id)}"]`)?.closest("li");

/** @param {EventTarget | null} button @param {string} id */
function edit(button, id) {
  const item = button instanceof Element ? button.closest("li.result") : null;
  if (!(item instanceof HTMLElement)) return;
  editInPlace(item, id, (changed) => {
    if (changed) results.changed(changed);
    const again = itemOf(id)?.querySelector(".edit");
    if (again instanceof HTMLElement) again.focus();
    if (changed) offerUndo(changed);
  });
}

/** Let the edit of a clip, the last of its changes, be undone. @param {Clip} clip */
async function offerUndo({ id, title }) {
  const { changes: [last] } = await getHistory(id).catch(() => ({ changes: [] })); // it is changed in any case
  notice.tell(`“${title}” changed.`, last?.edit);
}

// The selected sounds

/** Offer what goes with the collection that is shown: to remove sounds, and to move them. */
export function showTools() {
  const collection = collectionBar.current();
  const holdsSounds = collection !== null && !collection.follows;
  find("remove-selected").hidden = !holdsSounds;
  find("results").classList.toggle("ordered", holdsSounds);
}

async function editSelected() {
  const { clips, all } = selecting.selection();
  try {
    const which = all ? { where: choiceOf(results.query()) } : { ids: clips.map(({ id }) => id) };
    const size = all ? await sizeOfSearch() : clips.length;
    editMany(size, which, (text, number) => {
      notice.tell(text, number);
      results.refresh();
    });
  } catch (error) {
    if (!isAbort(error)) showError(problem, error, editSelected);
  }
}

/** How many sounds the whole search finds. */
async function sizeOfSearch() {
  const { total } = await getFacets(conditionsOf(results.query()));
  return total;
}

function collectSelected() {
  const { clips, all } = selecting.selection();
  if (all) keep();
  else addToCollection(clips.map(({ id }) => id), (text) => notice.tell(text));
}

/** Add the selected sounds to a collection; false where none is selected. */
export function collect() {
  if (find("find").hidden || !selecting.selection().clips.length) return false;
  collectSelected();
  return true;
}

async function removeSelected() {
  const [id] = results.query().collections;
  const ids = selecting.selection().clips.map((clip) => clip.id);
  try {
    await withKey(problem, () => changeCollection(id, { remove: ids }));
    showFavourites(id, ids, false);
    notice.tell(`${count(ids.length, "sound")} removed from the collection.`);
    selecting.clear();
    collectionBar.read();
    results.refresh();
  } catch (error) {
    if (!isAbort(error)) showError(problem, error, removeSelected);
  }
}

/** Keep the search as a collection that follows it. */
function keep() {
  const query = results.query();
  keepSearch(choiceOf(query), [query.words, ...query.tags].filter(Boolean).join(" "), (made) => {
    notice.tell(`Kept as “${made.name}”.`);
    results.go(`?${new URLSearchParams({ collection: made.id })}`);
  });
}

/** A button that moves a sound of a collection one place. @param {Hit} hit @param {-1 | 1} offset */
function mover({ id, title }, offset) {
  return make("button", {
    type: "button", class: "move", "data-move": String(offset),
    "aria-label": `Move ${title} ${offset < 0 ? "up" : "down"}`, onclick: () => move(id, offset),
  }, offset < 0 ? "↑" : "↓");
}

/** @param {string} id @param {-1 | 1} offset */
function move(id, offset) {
  moving = moving.then(() => moveNow(id, offset)); // one after the other: each changes the order
  return moving;
}

/** @param {string} id @param {-1 | 1} offset */
async function moveNow(id, offset) {
  const ids = [...document.querySelectorAll("#results .select")].map((box) => box instanceof HTMLElement ? box.dataset.id ?? "" : "");
  const place = ids.indexOf(id) + offset;
  if (place < 0 || place >= ids.length) return;
  const [moved, before] = offset < 0 ? [id, ids[place]] : [ids[place], id];
  const [collection] = results.query().collections;
  try {
    await withKey(problem, () => changeCollection(collection, { move: [moved], before }));
    results.moved(moved, before);
    const button = itemOf(id)?.querySelector(`[data-move="${offset}"]`);
    if (button instanceof HTMLElement) button.focus();
  } catch (error) {
    if (!isAbort(error)) showError(problem, error, () => move(id, offset));
  }
}

// Keys

/** The result with the focus. */
const currentItem = () => focused()?.closest("#results > li.result");

/** Press a part of the result that has the focus. @param {string} selector */
export function press(selector) {
  const part = currentItem()?.querySelector(selector);
  if (!(part instanceof HTMLElement)) return false;
  part.click();
  return true;
}

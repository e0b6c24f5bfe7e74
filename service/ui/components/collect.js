/** Keeping sounds: the star of a favourite, and the dialog that adds sounds to a collection. */

import { getPage, isAbort } from "../lib/api.js";
import {
  FAVOURITES, changeCollection, getCollections, postCollection,
} from "../lib/curation-api.js";
import { make, showError } from "../lib/dom.js";
import { count } from "../lib/format.js";
import { withKey } from "./api-key-form.js";
import { onceAtATime, showDialog } from "./dialogs.js";

/** @import { Clip } from "../lib/api.js" */
/** @import { Collection } from "../lib/curation-api.js" */

const PAGE_SIZE = 100;
const MAX_FAVOURITES = 2_000; // whose stars are shown
/** @type {Promise<Set<string>> | null} */
let favourites = null; // ids

/** The ids of the favourites, read once. */
async function readFavourites() {
  /** @type {Set<string>} */
  const ids = new Set();
  let cursor = "";
  do {
    const parameters = new URLSearchParams({ k: String(PAGE_SIZE), ...(cursor && { cursor }) });
    const { clips = [], next } = await getPage({ kind: "collection", id: FAVOURITES, parameters });
    for (const { id } of clips) ids.add(id);
    cursor = next ?? "";
  } while (cursor && ids.size < MAX_FAVOURITES);
  return ids;
}

/** A button that keeps a sound among the favourites. @param {Clip} clip @param {HTMLElement} problem */
export function star(clip, problem) {
  const button = make("button", {
    type: "button", class: "star", "aria-pressed": "false", "aria-label": `Favourite: ${clip.title}`,
    title: "Favourite", "data-clip": clip.id, onclick: () => toggle(),
  });
  const show = (/** @type {boolean} */ on) => button.setAttribute("aria-pressed", String(on));
  let isBusy = false;
  const toggle = async () => {
    if (isBusy) return;
    isBusy = true;
    const on = button.getAttribute("aria-pressed") !== "true";
    show(on);
    try {
      await withKey(problem, () => changeCollection(FAVOURITES, on ? { add: [clip.id] } : { remove: [clip.id] }));
      const ids = await favourites;
      if (on) ids?.add(clip.id);
      else ids?.delete(clip.id);
      show(on); // the favourites may have been read meanwhile
    } catch (error) {
      show(!on);
      if (!isAbort(error)) showError(problem, error, toggle);
    } finally {
      isBusy = false;
    }
  };
  favourites ??= readFavourites();
  favourites.then((ids) => show(ids.has(clip.id)), () => { favourites = null; });
  return button;
}

/** Show that sounds were added to a collection, or removed, where it is that of the favourites.
 * @param {string} collection @param {string[]} ids @param {boolean} on */
export function showFavourites(collection, ids, on) {
  if (collection !== FAVOURITES) return;
  favourites = null; // to be read again
  for (const button of document.querySelectorAll(".star")) {
    if (ids.includes(button.getAttribute("data-clip") ?? "")) button.setAttribute("aria-pressed", String(on));
  }
}

/**
 * Ask for a collection, and add sounds to it.
 *
 * @param {string[]} ids
 * @param {(text: string) => void} done what was done
 */
export async function addToCollection(ids, done) {
  const problem = make("div", { role: "alert" });
  const list = make("ul", { class: "choices", "aria-label": "Collections" });
  const name = make("input", { class: "field", maxlength: 200, placeholder: "New collection" });
  let isBusy = false;
  const attempt = async (/** @type {() => Promise<Collection>} */ change) => {
    if (isBusy) return; // a second click would add or make it twice
    isBusy = true;
    try {
      const changed = await withKey(problem, change);
      showFavourites(changed.id, ids, true);
      dialog.close();
      done(`${count(ids.length, "sound")} added to “${changed.name}”.`);
    } catch (error) {
      if (!isAbort(error)) showError(problem, error, () => attempt(change));
    } finally {
      isBusy = false;
    }
  };
  const create = (/** @type {Event} */ event) => {
    event.preventDefault();
    if (name.value.trim()) attempt(() => postCollection({ name: name.value.trim(), clips: ids }));
  };
  const dialog = showDialog(`Add ${count(ids.length, "sound")} to a collection`,
    list,
    make("form", { class: "row", autocomplete: "off", onsubmit: create },
      make("label", { class: "unseen", for: "new-collection" }, "Name of a new collection"),
      Object.assign(name, { id: "new-collection" }), make("button", { class: "plain" }, "Make it")),
    problem);
  try {
    const { collections } = await getCollections();
    list.replaceChildren(...collections.filter(({ follows }) => !follows).map((one) => make("li", {},
      make("button", {
        type: "button", class: "plain", onclick: () => attempt(() => changeCollection(one.id, { add: ids })),
      }, one.name, make("span", { class: "times" }, String(one.clips ?? ""))))));
    if (!name.value) list.querySelector("button")?.focus(); // else the user is typing already
  } catch (error) {
    showError(problem, error, () => (dialog.close(), addToCollection(ids, done)));
  }
}

/** Ask for a name, and keep a search as a collection that follows it.
 * @param {Record<string, unknown>} follows @param {string} suggested @param {(made: Collection) => void} done */
export function keepSearch(follows, suggested, done) {
  const problem = make("div", { role: "alert" });
  const name = make("input", { class: "field", id: "kept-name", maxlength: 200, required: true });
  name.value = suggested;
  const save = async () => {
    try {
      const made = await withKey(problem, () => postCollection({ name: name.value.trim(), follows }));
      dialog.close();
      done(made);
    } catch (error) {
      if (!isAbort(error)) showError(problem, error, save);
    }
  };
  const dialog = showDialog("Keep this search",
    make("form", { autocomplete: "off", onsubmit: onceAtATime(save) },
      make("p", { class: "quiet" }, "A collection that follows: it has what the search finds, also what is added later."),
      make("label", { for: "kept-name" }, "Name"), name, problem,
      make("div", { class: "row" }, make("button", { class: "plain strong" }, "Keep"))));
  name.select();
}

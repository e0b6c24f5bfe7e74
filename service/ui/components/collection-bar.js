/** The collection that is shown: its name, its hand-over, and what can be done with it. */

import { isAbort } from "../lib/api.js";
import { deleteCollection, editCollection, exportAddress, getCollection, FAVOURITES } from "../lib/curation-api.js";
import { find, make, showError } from "../lib/dom.js";
import { count } from "../lib/format.js";
import { withKey } from "./api-key-form.js";
import { confirmIn, onceAtATime } from "./dialogs.js";

/** @import { Collection } from "../lib/curation-api.js" */

/** @type {Collection | null} */
let shown = null;
let wanted = ""; // id
/** @type {() => void} */
let changed = () => {};
/** @type {(address: string) => void} */
let go = () => {};

/** @param {() => void} onChange called when the collection has another name
 * @param {(address: string) => void} goTo */
export function start(onChange, goTo) {
  [changed, go] = [onChange, goTo];
}

/** The collection that is shown, once it is read. */
export const current = () => shown;

/** Show a collection; an empty id: none. @param {string} id */
export async function show(id) {
  if (id === wanted && (shown || !id)) return;
  [wanted, shown] = [id, null];
  const bar = find("collection");
  bar.hidden = !id;
  bar.replaceChildren();
  if (id) await read();
}

/** Read the collection again: its sounds have changed. */
export async function read() {
  const id = wanted;
  try {
    const found = id ? await getCollection(id) : null;
    if (id !== wanted || !found) return;
    shown = found;
    draw(found);
    changed();
  } catch (error) {
    if (id === wanted && !isAbort(error)) showError(find("collection"), error, read);
  }
}

/** @param {Collection} collection */
function draw(collection) {
  const { id, description, clips, follows } = collection;
  const problem = make("div", { role: "alert" });
  const link = (/** @type {"zip" | "csv" | "parquet"} */ format, /** @type {string} */ text) =>
    make("a", { href: exportAddress(id, format), download: true }, text);
  find("collection").replaceChildren(
    make("p", { class: "quiet" },
      follows ? "Follows a search: " : "", count(clips ?? 0, "sound"), ". ", description),
    make("p", { class: "actions" },
      make("a", { "data-go": true, href: `?${new URLSearchParams({ collection: id })}#map` }, "On the map"),
      link("zip", "Download as ZIP"), link("csv", "as CSV"), link("parquet", "as Parquet"),
      id !== FAVOURITES && make("button", { type: "button", class: "link", onclick: () => rename(collection) }, "Rename…"),
      id !== FAVOURITES && make("button", { type: "button", class: "link", onclick: () => confirmDelete(collection, problem) }, "Delete…")),
    problem);
}

/** @param {Collection} collection */
function rename({ id, name, description }) {
  const bar = find("collection");
  const problem = make("div", { role: "alert" });
  const [nameInput, about] = [["collection-name", name], ["collection-about", description]].map(([key, text]) =>
    Object.assign(make("input", { class: "field", id: key }), { value: text }));
  const save = async () => {
    const changes = { name: nameInput.value.trim(), description: about.value.trim() };
    try {
      await withKey(problem, () => editCollection(id, changes));
      await read();
    } catch (error) {
      if (!isAbort(error)) showError(problem, error, save);
    }
  };
  bar.replaceChildren(make("form", { class: "editor", autocomplete: "off", onsubmit: onceAtATime(save) },
    make("label", { for: "collection-name" }, "Name"), nameInput,
    make("label", { for: "collection-about" }, "Description"), about,
    problem,
    make("div", { class: "row" }, make("button", { class: "plain strong" }, "Save"),
      make("button", { type: "button", class: "plain", onclick: read }, "Cancel"))));
  nameInput.select();
}

/** @param {Collection} collection @param {HTMLElement} problem */
function confirmDelete({ id, name }, problem) {
  confirmIn(problem, `Delete the collection “${name}”? Its sounds stay in the library.`, async () => {
    await withKey(problem, () => deleteCollection(id));
    go("#library");
  });
}

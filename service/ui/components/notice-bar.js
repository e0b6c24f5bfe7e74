/** What was done, in one line at the bottom of the page, with a button that takes it back. */

import { undoEdit } from "../lib/curation-api.js";
import { find, make, showError } from "../lib/dom.js";
import { count } from "../lib/format.js";
import { withKey } from "./api-key-form.js";

/** @type {() => void} */
let refresh = () => {};

/** @param {() => void} onUndone called when something has been taken back */
export function start(onUndone) {
  refresh = onUndone;
}

/** Say that something was done. @param {string} text @param {number | null} [edit] that can be undone */
export function tell(text, edit = null) {
  const bar = find("done");
  bar.replaceChildren(make("p", {}, text), ...(edit === null ? [] : [
    make("button", { type: "button", class: "link", onclick: () => undo(edit) }, "Undo")]),
  make("button", { type: "button", class: "remove", "aria-label": "Close this message", onclick: close }));
  bar.hidden = false;
}

function close() {
  find("done").hidden = true;
}

/** @param {number} edit */
async function undo(edit) {
  const bar = find("done");
  try {
    const { changed, conflicts, number } = await withKey(bar, () => undoEdit(edit));
    const left = conflicts ? ` ${count(conflicts, "sound")} changed since, and left as they are.` : "";
    tell(`Undone: ${count(changed, "sound")} as before.${left}`, number);
    refresh();
  } catch (error) {
    showError(bar, error, () => undo(edit));
  }
}

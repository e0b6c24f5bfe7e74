/** What was done, in one line at the bottom of the page, with a button that takes it back. */

import { isAbort } from "../lib/api.js";
import { undoEdit } from "../lib/curation-api.js";
import { find, focused, make, showError } from "../lib/dom.js";
import { count } from "../lib/format.js";
import { withKey } from "./api-key-form.js";
import { onceAtATime } from "./dialogs.js";

/** @type {() => void} */
let refresh = () => {};
/** @type {EventTarget | null} */
let before = null; // had the focus before the bar

/** @param {() => void} onUndone called when something has been taken back */
export function start(onUndone) {
  refresh = onUndone;
  const bar = find("done");
  bar.addEventListener("focusin", ({ relatedTarget }) => {
    if (!(relatedTarget instanceof Node) || !bar.contains(relatedTarget)) before = relatedTarget;
  });
}

/** Say that something was done. @param {string} text @param {number | null} [edit] that can be undone
 * @param {boolean} [isUndone] it was an undoing */
export function tell(text, edit = null, isUndone = false) {
  const bar = find("done");
  const hadFocus = bar.contains(focused());
  const problem = make("div");
  const close = make("button", {
    type: "button", class: "remove", "aria-label": "Close this message", onclick: dismiss,
  });
  bar.replaceChildren(make("p", {}, text), ...(edit === null ? [] : [
    make("button", {
      type: "button", class: "link", onclick: onceAtATime(() => undo(edit, problem, isUndone)),
    }, isUndone ? "Redo" : "Undo")]),
  close, problem);
  if (hadFocus) (bar.querySelector("button") ?? close).focus();
}

function dismiss() {
  find("done").replaceChildren();
  if (before instanceof HTMLElement && before.isConnected) before.focus();
}

/** @param {number} edit @param {HTMLElement} problem @param {boolean} isUndone it was an undoing itself */
async function undo(edit, problem, isUndone) {
  try {
    const { changed, conflicts, number } = await withKey(problem, () => undoEdit(edit));
    const left = conflicts ? ` ${count(conflicts, "sound")} changed since, and left as they are.` : "";
    const done = isUndone ? `Redone: ${count(changed, "sound")}.` : `Undone: ${count(changed, "sound")} as before.`;
    tell(`${done}${left}`, number, !isUndone);
    refresh();
  } catch (error) {
    if (!isAbort(error)) showError(problem, error, () => undo(edit, problem, isUndone));
  }
}

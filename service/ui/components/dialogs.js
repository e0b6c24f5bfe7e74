/** Dialogs, and questions before something is deleted. */

import { isAbort } from "../lib/api.js";
import { make, showError } from "../lib/dom.js";

/** Open a dialog with a title and a button that closes it. @param {string} title @param {...Node} children */
export function showDialog(title, ...children) {
  /** @type {HTMLDialogElement} */
  const dialog = make("dialog", {
    class: "form", "aria-label": title, onclose: () => dialog.remove(),
    onclick: (/** @type {Event} */ event) => event.target === dialog && dialog.close(),
  }, make("div", {}, make("h2", {}, title), ...children,
    make("button", { type: "button", class: "link", onclick: () => dialog.close() }, "Close")));
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Ask whether to delete something, and do it. @param {HTMLElement} place @param {string} question
 * @param {() => Promise<void>} remove */
export function confirmIn(place, question, remove) {
  const attempt = async () => {
    try {
      await remove();
    } catch (error) {
      if (!isAbort(error)) showError(place, error, attempt);
    }
  };
  const yes = make("button", { type: "button", class: "plain", onclick: attempt }, "Delete");
  place.replaceChildren(make("div", { class: "notice" }, make("p", {}, question),
    make("div", { class: "row" }, yes,
      make("button", { type: "button", class: "plain", onclick: () => place.replaceChildren() }, "Keep it"))));
  yes.focus();
}

/** Dialogs, and questions before something is deleted. */

import { isAbort } from "../lib/api.js";
import { make, showError } from "../lib/dom.js";

/** Open a dialog with a title and a button that closes it. @param {string} title @param {...Node} children */
export function showDialog(title, ...children) {
  let pressedOutside = false; // a press inside that ends outside selects text
  /** @type {HTMLDialogElement} */
  const dialog = make("dialog", {
    class: "form", "aria-label": title, onclose: () => dialog.remove(),
    onpointerdown: (/** @type {Event} */ event) => { pressedOutside = event.target === dialog; },
    onclick: (/** @type {Event} */ event) => pressedOutside && event.target === dialog && dialog.close(),
  }, make("div", {}, make("h2", {}, title), ...children,
    make("button", { type: "button", class: "link", onclick: () => dialog.close() }, "Close")));
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/**
 * A listener of a form that is not sent again while it is on its way.
 *
 * @param {() => Promise<unknown>} save
 */
export function onceAtATime(save) {
  let isBusy = false;
  return async (/** @type {Event} */ event) => {
    event.preventDefault();
    if (isBusy) return;
    isBusy = true;
    await save().finally(() => { isBusy = false; });
  };
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

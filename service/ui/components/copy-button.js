/** Buttons that copy text to the clipboard. */

import { make } from "../lib/dom.js";

const CONFIRMATION_MS = 2000;

/** A button that copies what `getText` returns, and confirms it for a while.
 * @param {string} name @param {() => string} getText */
export function copyButton(name, getText) {
  const status = make("span", { class: "unseen", role: "status" });
  const button = make("button", {
    type: "button", class: "plain",
    onclick: async () => {
      const text = getText();
      const outcome = text && await writeToClipboard(text, button) ? "Copied" : "Could not copy";
      status.textContent = button.textContent = text ? outcome : "Nothing to copy yet";
      setTimeout(() => {
        button.textContent = name;
        status.textContent = "";
      }, CONFIRMATION_MS);
    },
  }, name);
  return make("span", { class: "copying" }, button, status);
}

/** Pages that are not served securely have no clipboard: they copy a selection.
 * @param {string} text @param {HTMLElement} button */
async function writeToClipboard(text, button) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = make("textarea", { class: "unseen", "aria-label": "To be copied" });
    field.value = text;
    button.after(field);
    field.select();
    const copied = document.execCommand("copy");
    field.remove();
    button.focus();
    return copied;
  }
}

/** Text for the clipboard. */

import { make } from "../lib/dom.js";

const TOLD_MS = 2000;

/** A button that copies what `text` gives, and says so for a while. */
export function copyButton(name, text) {
  const button = make("button", {
    type: "button", class: "plain",
    onclick: async () => {
      const wanted = text();
      const done = wanted && await write(wanted, button) ? "Copied" : "Could not copy";
      said.textContent = button.textContent = wanted ? done : "Nothing to copy yet";
      setTimeout(() => {
        button.textContent = name;
        said.textContent = "";
      }, TOLD_MS);
    },
  }, name);
  const said = make("span", { class: "unseen", role: "status" });
  return make("span", { class: "copying" }, button, said);
}

/** The old way where the page is not served securely. */
async function write(text, beside) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = make("textarea", { class: "unseen", "aria-label": "To be copied" });
    field.value = text;
    beside.after(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    beside.focus();
    return done;
  }
}

/** The form that asks for an API key when the service requires one. */

import { ServiceError } from "../lib/api.js";
import { currentKey, setKey } from "../lib/api-key.js";
import { focused, make } from "../lib/dom.js";

/** @typedef {{place: HTMLElement, resolve: (key: string) => void, reject: (error: unknown) => void}} Asking */

/** @type {Asking[]} */
let asking = []; // all that wait for a key, for which there is one form
/** @type {HTMLElement | null} */
let form = null;
/** @type {HTMLElement | null} */
let before = null; // had the focus

/**
 * The result of a call; if it needs a key, the user is asked for one in `place` and it is repeated.
 * Throws what the call throws, and AbortError where the user gives no key.
 *
 * @template T
 * @param {HTMLElement} place
 * @param {() => Promise<T>} call
 * @returns {Promise<T>}
 */
export async function withKey(place, call) {
  for (;;) {
    const key = currentKey();
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof ServiceError) || (error.status !== 401 && error.status !== 403)) throw error;
      if (currentKey() !== key) continue; // another call was given one meanwhile
      const reason = error.detail ? ` (${error.detail.replace(/^key: /, "")})` : "";
      const message = currentKey() ? `The service rejected this key${reason}.`
        : "This needs an API key. The operator of the service can give you one.";
      if (error.status === 401) setKey(""); // one that may only read is of use until there is another
      setKey(await askForKey(place, message));
    }
  }
}

const noKey = () => new DOMException("no key", "AbortError");

/** Ask for a key. One answer is for all that ask meanwhile, but for those whose place has left the page.
 * @param {HTMLElement} place @param {string} message @returns {Promise<string>} */
export function askForKey(place, message) {
  dropGone();
  if (!asking.length) before = focused();
  return new Promise((resolve, reject) => {
    asking.push({ place, resolve, reject });
    const isOpen = form?.isConnected && form.closest("dialog") === place.closest("dialog");
    if (!isOpen) showForm(place, message);
    form?.querySelector("input")?.focus();
  });
}

/** Those whose place has left the page do not wait any more. */
function dropGone() {
  const gone = asking.filter(({ place }) => !place.isConnected);
  asking = asking.filter(({ place }) => place.isConnected);
  for (const { reject } of gone) reject(noKey());
}

/** @param {HTMLElement} place @param {string} message */
function showForm(place, message) {
  const input = make("input", {
    type: "password", class: "field", id: "key", autocomplete: "off", required: true,
    "aria-describedby": "key-note",
  });
  /** @param {(one: Asking) => void} settle */
  const close = (settle) => {
    dropGone();
    form?.remove();
    before?.focus();
    const waiting = asking;
    asking = [];
    waiting.forEach(settle);
  };
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    event.stopPropagation(); // the place may be in a form, which is not to be sent again
    const key = input.value.trim();
    close(({ resolve }) => resolve(key));
  };
  form?.remove();
  form = make("form", { class: "notice key", onsubmit: submit,
    onkeydown: (/** @type {KeyboardEvent} */ event) => {
      if (event.key === "Escape" && !place.closest("dialog")) close(({ reject }) => reject(noKey()));
      event.stopPropagation(); // the keys are not those of a form around it
    },
  },
    make("p", { id: "key-note" }, message),
    make("label", { for: "key" }, "API key"),
    make("div", { class: "row" }, input,
      make("button", { class: "plain" }, "Use this key"),
      make("button", { type: "button", class: "plain", onclick: () => close(({ reject }) => reject(noKey())) }, "Cancel")),
    make("p", { class: "quiet" }, "It is kept until this tab is closed, and sent only to this service."));
  place.replaceChildren(form);
}

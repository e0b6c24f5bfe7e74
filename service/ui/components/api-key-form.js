/** The form that asks for an API key when the service requires one. */

import { ServiceError } from "../lib/api.js";
import { currentKey, setKey } from "../lib/api-key.js";
import { focused, make } from "../lib/dom.js";

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
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof ServiceError) || (error.status !== 401 && error.status !== 403)) throw error;
      const reason = error.detail ? ` (${error.detail.replace(/^key: /, "")})` : "";
      const message = currentKey() ? `The service rejected this key${reason}.`
        : "This needs an API key. The operator of the service can give you one.";
      setKey("");
      setKey(await askForKey(place, message));
    }
  }
}

/** @param {HTMLElement} place @param {string} message @returns {Promise<string>} */
export function askForKey(place, message) {
  const before = focused();
  return new Promise((resolve, reject) => {
    const input = make("input", {
      type: "password", class: "field", id: "key", autocomplete: "off", required: true,
      "aria-describedby": "key-note",
    });
    const close = () => {
      place.replaceChildren();
      before?.focus();
    };
    /** @param {Event} event */
    const submit = (event) => {
      event.preventDefault();
      close();
      resolve(input.value.trim());
    };
    const cancel = () => {
      close();
      reject(new DOMException("no key", "AbortError"));
    };
    place.replaceChildren(make("form", { class: "notice key", onsubmit: submit },
      make("p", { id: "key-note" }, message),
      make("label", { for: "key" }, "API key"),
      make("div", { class: "row" }, input,
        make("button", { class: "plain" }, "Use this key"),
        make("button", { type: "button", class: "plain", onclick: cancel }, "Cancel")),
      make("p", { class: "quiet" }, "It is kept until this tab is closed, and sent only to this service.")));
    input.focus();
  });
}

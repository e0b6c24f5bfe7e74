/** The API key, where the service wants one: asked for when needed, kept until the tab is closed. */

import { make } from "../lib/dom.js";

const NAME = "earmark-key";
let held = "";

try {
  held = sessionStorage.getItem(NAME) ?? "";
} catch { /* storage is refused: it lasts as long as the page */ }

export const authorization = () => (held ? { Authorization: `Bearer ${held}` } : {});

function hold(key) {
  held = key;
  try {
    if (key) sessionStorage.setItem(NAME, key);
    else sessionStorage.removeItem(NAME);
  } catch { /* as above */ }
}

/** What `call` gives. Where it lacks a key, one is asked for in `place`. Throws what `call` does,
 * and AbortError where no key is given. */
export async function withKey(place, call) {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (error.status !== 401 && error.status !== 403) throw error;
      const had = held;
      hold("");
      hold(await asked(place, had
        ? `The service does not take this key for that${error.detail ? ` (${error.detail.replace(/^key: /, "")})` : ""}.`
        : "The service wants a key for that. Whoever runs it can give you one."));
    }
  }
}

/** The key that is typed into a form in `place`. */
function asked(place, why) {
  const before = document.activeElement;
  return new Promise((resolve, reject) => {
    const field = make("input", {
      type: "password", class: "field", id: "key", autocomplete: "off", required: true,
      "aria-describedby": "key-note",
    });
    const leave = () => {
      place.replaceChildren();
      before?.focus();
    };
    place.replaceChildren(make("form", {
      class: "notice key",
      onsubmit: (event) => {
        event.preventDefault();
        leave();
        resolve(field.value.trim());
      },
    },
    make("p", { id: "key-note" }, why),
    make("label", { for: "key" }, "API key"),
    make("div", { class: "row" }, field,
      make("button", { class: "plain" }, "Use this key"),
      make("button", {
        type: "button", class: "plain",
        onclick: () => {
          leave();
          reject(new DOMException("no key", "AbortError"));
        },
      }, "Cancel")),
    make("p", { class: "quiet" }, "It is kept until this tab is closed, and sent nowhere else.")));
    field.focus();
  });
}

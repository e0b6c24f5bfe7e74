/** Helpers to build and find elements. Text goes in as text, never as markup. */

/** @import { ServiceError } from "./api.js" */

/** @typedef {Node | string | number | false | null | undefined} Child falsy ones but 0 are left out */

/**
 * The element with this id, which is of this class.
 *
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @param {new () => T} [type]
 * @returns {T}
 */
export function find(id, type) {
  const node = document.getElementById(id);
  if (!(node instanceof (type ?? HTMLElement))) throw new Error(`no ${type?.name ?? "element"} #${id}`);
  return /** @type {T} */ (node);
}

/** @param {string} id */
export const findInput = (id) => find(id, HTMLInputElement);

/** @param {string} id */
export const findButton = (id) => find(id, HTMLButtonElement);

/** The element that has the focus. */
export const focused = () => /** @type {HTMLElement | null} */ (document.activeElement);

/**
 * An element with attributes (`onclick: f` adds a listener) and children.
 *
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} name
 * @param {Record<string, any>} [attributes] `true` sets an empty one, `false` and null none
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function make(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value != null) node.setAttribute(key, value);
  }
  for (const child of children) {
    if (child || child === 0) node.append(typeof child === "number" ? String(child) : child);
  }
  return node;
}

/**
 * An SVG element.
 *
 * @param {string} name
 * @param {Record<string, any>} [attributes]
 * @param {...Node} children
 */
export function makeSvg(name, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

/** A link that searches for words without leaving the page. @param {string} words @param {string} look */
export const searchLink = (words, look) =>
  make("a", { class: look, href: `?${new URLSearchParams({ q: words })}`, "data-go": true }, words);

/**
 * A bar from 0 to 1, with its value as text for screen readers.
 *
 * @param {number} value @param {string} text @param {string} label
 */
export function meter(value, text, label) {
  const within = Math.min(1, Math.max(0, value));
  const fill = make("span");
  fill.style.inlineSize = `${100 * within}%`;
  return make("span", {
    class: "bar", role: "meter", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 1,
    "aria-valuenow": within.toFixed(4), "aria-valuetext": text,
  }, fill);
}

/**
 * Show an error in `place`, with a button to try again where that may help.
 *
 * @param {HTMLElement} place
 * @param {unknown} error a ServiceError, or one with a message alone
 * @param {() => void} retry
 */
export function showError(place, error, retry) {
  const { message, detail, retryable } = /** @type {ServiceError} */ (error);
  place.replaceChildren(make("div", { class: "notice" },
    make("p", {}, message),
    detail && make("p", { class: "quiet" }, detail),
    retryable && make("button", { type: "button", class: "plain", onclick: retry }, "Try again")));
}

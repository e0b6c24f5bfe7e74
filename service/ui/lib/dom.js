/** Small helpers around the page. Text goes in as text, never as markup. */

export const find = (id) => document.getElementById(id);

/** An element with attributes (`onclick: f` listens) and children; empty children are left out. */
export function make(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value != null) node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child || child === 0));
  return node;
}

/** An element of SVG. */
export function shape(name, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

/** A link that searches for words without leaving the page. */
export function searchLink(words, look) {
  return make("a", { class: look, href: searchAddress(words), "data-go": true }, words);
}

export const searchAddress = (words) =>
  words ? `?${new URLSearchParams({ q: words })}` : location.pathname;

/** A bar from 0 to 1, with its value in words for those who do not see it. */
export function bar(value, text, label) {
  const within = Math.min(1, Math.max(0, value));
  const fill = make("span");
  fill.style.inlineSize = `${100 * within}%`;
  return make("span", {
    class: "bar", role: "meter", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 1,
    "aria-valuenow": within.toFixed(4), "aria-valuetext": text,
  }, fill);
}

export function percent(share) {
  return share < 0.005 ? "< 1 %" : `${Math.round(100 * share)} %`;
}

/** Seconds as 0:42. */
export function clock(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

export function size(bytes) {
  if (bytes < 1e5) return `${Math.ceil(bytes / 1e3)} kB`;
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** Show what went wrong in `place`, with a button to try again where that may help. */
export function complain(place, { message, detail, passing }, again) {
  place.replaceChildren(make("div", { class: "notice" },
    make("p", {}, message),
    detail && make("p", { class: "quiet" }, detail),
    passing && make("button", { type: "button", class: "plain", onclick: again }, "Try again")));
}

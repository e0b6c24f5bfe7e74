/** Buttons that look closely at a stretch of a long sound: one, and once it is zoomed in, all. */

import { make } from "../lib/dom.js";
import { clockRange, preciseRange } from "../lib/format.js";
import { lengthOf } from "../lib/span.js";

/** @import { Outline } from "./outline.js" */

const ZOOM_STEP = 2;
const PAN_STEP = 0.8; // of the view
const CLOSE = 20; // seconds of a view whose times are told precisely

/** @param {Outline} outline */
export function zoomBar(outline) {
  /** @param {string} text @param {string} name @param {() => void} onclick */
  const button = (text, name, onclick) => make("button", { type: "button", "aria-label": name, onclick }, text);
  const back = button("‹", "Earlier", () => outline.pan(-PAN_STEP));
  const on = button("›", "Later", () => outline.pan(PAN_STEP));
  const out = button("−", "Zoom out", () => outline.zoom(1 / ZOOM_STEP));
  const all = button("All", "All of the sound", () => outline.showAll());
  const times = make("span", { class: "number", role: "status" });
  const into = button("", "Zoom in", () => outline.zoom(ZOOM_STEP));
  const others = [out, back, on, all];
  const node = make("div", { class: "zoom", role: "group", "aria-label": `View of ${outline.title}` },
    into, ...others, times);
  const draw = () => {
    const { view, duration, isZoomed } = outline;
    const range = lengthOf(view) < CLOSE ? preciseRange(view) : clockRange(view);
    times.textContent = isZoomed ? range : "";
    into.textContent = isZoomed ? "+" : "Zoom";
    into.classList.toggle("link", !isZoomed);
    if (!isZoomed && others.some((other) => other === document.activeElement)) into.focus();
    for (const other of others) other.hidden = !isZoomed;
    // Not `disabled`, which would take the focus away.
    back.setAttribute("aria-disabled", String(view.start <= 0));
    on.setAttribute("aria-disabled", String(view.end >= duration));
  };
  outline.node.addEventListener("view", draw);
  draw();
  return node;
}

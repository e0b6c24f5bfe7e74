/**
 * Keys for whoever keeps the hands on the keyboard: they move among the sounds of a view, play and
 * seek. They leave alone what somebody types, keys held with others, and what has the focus and
 * uses the key itself. They can be switched off.
 */

import { find, make } from "../lib/dom.js";
import { Control, latest } from "./player.js";

const HELP = [
  ["/", "to the search box"], ["j or ↓", "to the next sound"], ["k or ↑", "to the sound before"],
  ["Space", "play, pause"], ["← →", "back, forward in the sound"],
  ["n", "play the next sound"], ["p", "play the sound before"], ["?", "this help"],
];
const KEPT = "keys"; // in the browser: "off" where they are not wanted

const ACTIONS = {
  "/": toBox, "?": help,
  j: () => move(1), k: () => move(-1), ArrowDown: () => move(1), ArrowUp: () => move(-1),
  n: () => playNext(1), p: () => playNext(-1),
  ArrowLeft: () => seek(-1), ArrowRight: () => seek(1),
  " ": toggle,
};
let wanted = true;
let dialog = null;

export function start() {
  wanted = read() !== "off";
  document.addEventListener("keydown", pressed);
  find("keys-open").addEventListener("click", help);
}

function pressed(event) {
  const { key, target } = event;
  if (event.defaultPrevented || event.isComposing || !Object.hasOwn(ACTIONS, key)) return;
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (key.length > 1 ? event.shiftKey : !wanted) return;
  if (usesItself(target, key)) return;
  if (ACTIONS[key]() !== false) event.preventDefault();
}

/** Whether the key is the focused element's own. */
function usesItself(target, key) {
  if (target.id === "query" && key === "ArrowDown") return false;
  if (target.matches("input[type=range]")) return key.startsWith("Arrow");
  if (target.closest("input, textarea, select, [contenteditable]")) return true;
  if (key === " ") return target.closest("button, a, summary, label, [role], [tabindex='0']") !== null;
  // The arrows scroll the page, unless one is among the sounds.
  if (/ArrowUp|ArrowDown/.test(key)) return !target.closest(".result");
  return false;
}

const buttons = () => [...document.querySelectorAll("main > section:not([hidden]) .play")];

/** The play button of the sound that has the focus, else of the one that played last in this view. */
function here() {
  const focused = document.activeElement.closest(".result")?.querySelector(".play");
  const last = latest()?.button;
  return focused ?? (last?.checkVisibility() ? last : null);
}

/** The button so many sounds further; nothing past the ends. */
function neighbour(by) {
  const all = buttons();
  const place = all.indexOf(here());
  return place < 0 ? all[0] : all[place + by];
}

function reach(button) {
  button.focus({ focusVisible: true });
  (button.closest(".result") ?? button).scrollIntoView({ block: "nearest" });
}

function move(by) {
  const button = document.activeElement.id === "query" ? buttons()[0] : neighbour(by);
  if (button) return reach(button);
  return by < 0 ? toBox() : false;
}

function playNext(by) {
  const button = neighbour(by);
  if (!button) return false;
  reach(button);
  return Control.of(button).play();
}

function toggle() {
  const button = here();
  return button ? Control.of(button).toggle() : false;
}

function seek(by) {
  const button = here();
  return button ? Control.of(button).step(by) : false;
}

function toBox() {
  if (find("find").hidden) find("to-find").click();
  find("query").focus();
  find("query").select();
}

function help() {
  dialog ??= makeDialog();
  dialog.showModal();
}

function makeDialog() {
  const single = make("input", { type: "checkbox", onchange: () => keep(single.checked) });
  single.checked = wanted;
  const made = make("dialog", {
    id: "keys", "aria-labelledby": "keys-title",
    onclick: (event) => event.target === made && made.close(),
  }, make("div", {},
    make("h2", { id: "keys-title" }, "Keys"),
    make("dl", {}, ...HELP.flatMap(([key, what]) => [
      make("dt", {}, make("kbd", {}, key)), make("dd", {}, what)])),
    make("label", { class: "check" }, single, "Use keys of one letter or sign"),
    make("button", {
      type: "button", class: "plain", autofocus: true, onclick: () => made.close(),
    }, "Close")));
  document.body.append(made);
  return made;
}

function keep(on) {
  wanted = on;
  try {
    localStorage.setItem(KEPT, on ? "on" : "off");
  } catch {
    // not kept then, where the browser keeps nothing
  }
}

function read() {
  try {
    return localStorage.getItem(KEPT);
  } catch {
    return null;
  }
}

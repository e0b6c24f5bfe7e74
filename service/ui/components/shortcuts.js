/**
 * Keyboard shortcuts that move among the sounds of a view, play and seek. They leave alone text
 * that is typed, keys with modifiers, and keys that the focused element uses. The user can switch
 * off those of a single character.
 */

import { find, findInput, focused, make } from "../lib/dom.js";
import { readText, writeText } from "../lib/storage.js";
import * as curate from "./curate.js";
import { changeLevel, changeSpeed, toggleLoop, togglePitch } from "./playback.js";
import { Player, lastPlayer } from "./player.js";
import { toggleSpectrograms } from "./spectrogram.js";

const HELP = [
  ["/", "search box"], ["j or ↓", "next sound"], ["k or ↑", "previous sound"],
  ["Space", "play or pause"], ["← →", "seek back or forward"],
  ["n", "play the next sound"], ["p", "play the previous sound"], ["?", "this help"],
  ["Shift ← →", "select a part, on an outline"], ["+ − 0", "zoom in, out, show all, on an outline"],
  ["r", "play the selected part"], ["l", "play in a loop, or not"], ["< >", "slower, faster"],
  ["m", "mark: select the sound"], ["e", "edit it"], ["f", "favourite"], ["c", "collect: add the selected sounds to a collection"],
  ["1 2", "this is it, this is not, of a sound that you teach"],
  ["h", "hold the pitch at any speed, or not"], ["d u", "quieter, louder"], ["s", "spectrograms"],
];
const STORED_AS = "keys"; // "off" where single characters are switched off
const ONCE = new Set("rlhsmefc12/?"); // what a key that is held down does not do again

/** What each key does; an action that returns false leaves the key to the browser.
 * @type {Record<string, () => unknown>} */
const ACTIONS = {
  "/": focusSearch, "?": showHelp,
  j: () => move(1), k: () => move(-1), ArrowDown: () => move(1), ArrowUp: () => move(-1),
  n: () => playNeighbour(1), p: () => playNeighbour(-1),
  ArrowLeft: () => seek(-1), ArrowRight: () => seek(1),
  " ": toggle, r: playPart, l: toggleLoop, h: togglePitch, s: toggleSpectrograms,
  m: () => curate.press(".select"), e: () => curate.press(".edit"), f: () => curate.press(".star"), c: curate.collect,
  1: () => curate.press(".this-is-it"), 2: () => curate.press(".this-is-not"),
  "<": () => changeSpeed(-1), ">": () => changeSpeed(1), d: () => changeLevel(-1), u: () => changeLevel(1),
};
let singleKeys = true;
/** @type {HTMLDialogElement | null} */
let dialog = null;

/** Whether keys of a single character do something. */
export const usesSingleKeys = () => singleKeys;

export function start() {
  singleKeys = readText("localStorage", STORED_AS) !== "off";
  document.addEventListener("keydown", handleKey);
  find("shortcuts-open").addEventListener("click", showHelp);
}

/** @param {KeyboardEvent} event */
function handleKey(event) {
  const { key, target } = event;
  if (event.defaultPrevented || event.isComposing || !Object.hasOwn(ACTIONS, key)) return;
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (key.length > 1 ? event.shiftKey : !singleKeys) return;
  if (!(target instanceof Element) || usesKey(target, key)) return;
  if (event.repeat && ONCE.has(key)) return event.preventDefault();
  if (ACTIONS[key]() !== false) event.preventDefault();
}

/** Whether the focused element uses the key. @param {Element} target @param {string} key */
function usesKey(target, key) {
  if (target.id === "query" && key === "ArrowDown") return false;
  if (target.matches("input[type=range]")) return key.startsWith("Arrow");
  if (target.closest("input:not(.select), textarea, select, [contenteditable]")) return true;
  if (key === " ") return target.closest("button, a, input, summary, label, [role], [tabindex='0']") !== null;
  // The arrows scroll the page, unless the focus is among the sounds.
  if (/ArrowUp|ArrowDown/.test(key)) return !target.closest(".result");
  return false;
}

/** The play buttons of the view. @returns {HTMLElement[]} */
const playButtons = () => [...document.querySelectorAll("main > section:not([hidden]) .play")]
  .filter((node) => node instanceof HTMLElement);

/** The play button of the sound with the focus, else of the one that played last in this view. */
function currentButton() {
  const inFocus = focused()?.closest(".result")?.querySelector(".play");
  const last = lastPlayer()?.button;
  if (inFocus instanceof HTMLElement) return inFocus;
  return last?.checkVisibility() ? last : null;
}

/** The play button so many sounds further; none past the ends. @param {number} offset */
function neighbour(offset) {
  const all = playButtons();
  const place = all.findIndex((button) => button === currentButton());
  return place < 0 ? all[0] : all[place + offset];
}

/** @param {HTMLElement} button */
function focusOn(button) {
  button.focus(/** @type {FocusOptions} */ ({ focusVisible: true }));
  (button.closest(".result") ?? button).scrollIntoView({ block: "nearest" });
}

/** @param {number} offset */
function move(offset) {
  const button = focused()?.id === "query" ? playButtons()[0] : neighbour(offset);
  if (button) return focusOn(button);
  return offset < 0 ? focusSearch() : false;
}

/** @param {number} offset */
function playNeighbour(offset) {
  const button = neighbour(offset);
  if (!button) return false;
  focusOn(button);
  return Player.ofButton(button)?.play();
}

function toggle() {
  const button = currentButton();
  return button ? Player.ofButton(button)?.toggle() : false;
}

function playPart() {
  const button = currentButton();
  return button ? Player.ofButton(button)?.playPart() : false;
}

/** @param {number} direction */
function seek(direction) {
  const button = currentButton();
  return button ? Player.ofButton(button)?.step(direction) : false;
}

function focusSearch() {
  if (find("find").hidden) find("to-find").click();
  findInput("query").focus();
  findInput("query").select();
}

function showHelp() {
  dialog ??= makeDialog();
  dialog.showModal();
}

function makeDialog() {
  const checkbox = make("input", { type: "checkbox", onchange: () => setSingleKeys(checkbox.checked) });
  checkbox.checked = singleKeys;
  /** @type {HTMLDialogElement} */
  const made = make("dialog", {
    id: "shortcuts", "aria-labelledby": "shortcuts-title",
    onclick: (/** @type {Event} */ event) => event.target === made && made.close(),
  }, make("div", {},
    make("h2", { id: "shortcuts-title" }, "Keyboard shortcuts"),
    make("dl", {}, ...HELP.flatMap(([key, action]) => [
      make("dt", {}, make("kbd", {}, key)), make("dd", {}, action)])),
    make("label", { class: "check" }, checkbox, "Use single-key shortcuts"),
    make("button", {
      type: "button", class: "plain", autofocus: true, onclick: () => made.close(),
    }, "Close")));
  document.body.append(made);
  return made;
}

/** @param {boolean} on */
function setSingleKeys(on) {
  singleKeys = on;
  writeText("localStorage", STORED_AS, on ? "on" : "off");
}

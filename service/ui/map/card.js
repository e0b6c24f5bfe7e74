/** One sound of the map: a tooltip and playback under the pointer, and a card when it is selected. */

import { Player, pause, stopDetached } from "../components/player.js";
import { clipAddress, getClip, isAbort } from "../lib/api.js";
import { find, findInput, make, searchLink, showError } from "../lib/dom.js";
import { announce, scatter, shownMap, state } from "./state.js";

/** @import { Clip } from "../lib/api.js" */

const HOVER_MS = 250; // before the sound under the pointer plays
const ZOOM_STEP = 1.6;
const PAN_STEP = 80; // px

const tip = find("map-tip");
const card = find("map-card");

/** @type {{id: string, player: Player} | null} */
let hovered = null; // the sound that plays under the pointer
/** @type {{id: string, player?: Player} | null} */
let selected = null; // the sound on the card, with its player once it is read
let timer = 0;
let reading = new AbortController();

/** Listen to pointers and keys on the map. */
export function start() {
  const { canvas } = scatter;
  canvas.addEventListener("point", (event) => pointAt(/** @type {CustomEvent<number>} */ (event).detail));
  canvas.addEventListener("pick", (event) => {
    const { detail: point } = /** @type {CustomEvent<number>} */ (event);
    if (point < 0) close();
    else select(point);
  });
  canvas.addEventListener("view", () => { tip.hidden = true; });
  canvas.addEventListener("keydown", handleKey);
  find("map-hover").addEventListener("change", () => !playsOnHover() && stop());
}

/** Another view is shown: nothing starts to play any more. */
export const leave = () => clearTimeout(timer);

const playsOnHover = () => findInput("map-hover").checked;

/** The id of a point's clip. @param {number} point */
const idOf = (point) => shownMap().points.id[point];

/** A point's title and tags. @param {number} point */
function describe(point) {
  const { names, points } = shownMap();
  return [points.title[point], ...points.tags[point].slice(0, 4).map((tag) => names[tag])].join(", ");
}

/** @param {number} point -1: none */
function pointAt(point) {
  clearTimeout(timer);
  scatter.canvas.classList.toggle("pointing", point >= 0);
  if (point !== scatter.current) {
    scatter.current = point;
    scatter.draw();
    if (hovered && (point < 0 || hovered.id !== idOf(point))) stop();
  }
  showTip(point);
  if (point >= 0) playSoon(point);
}

/** @param {number} point */
function playSoon(point) {
  clearTimeout(timer);
  if (playsOnHover()) timer = setTimeout(() => play(point), HOVER_MS);
}

/** @param {number} point */
function showTip(point) {
  tip.hidden = point < 0;
  if (point < 0) return;
  tip.textContent = shownMap().points.title[point];
  const [left, top] = scatter.viewport.placeOf(point);
  const half = tip.offsetWidth / 2 + 4;
  tip.style.left = `${Math.min(scatter.viewport.size[0] - half, Math.max(half, left))}px`;
  tip.style.top = `${top}px`;
  tip.classList.toggle("below", top < 56);
}

/** @param {number} point */
function play(point) {
  const id = idOf(point);
  if (hovered?.id === id && hovered.player.playing) return;
  const player = new Player({
    address: clipAddress(id, "/audio"), title: shownMap().points.title[point],
  });
  hovered = { id, player };
  player.play(0);
}

function stop() {
  if (hovered?.player.playing) pause();
  hovered = null;
}

/** Show a sound on the card. @param {number} point @param {boolean} [thenFocus] move the focus there */
export async function select(point, thenFocus = false) {
  const id = idOf(point);
  reading.abort();
  const { signal } = (reading = new AbortController());
  scatter.selected = point;
  scatter.goTo(point);
  tip.hidden = true;
  selected = { id };
  try {
    const clip = await getClip(id, signal);
    selected = { id, player: showCard(clip) };
    if (thenFocus) card.focus();
  } catch (error) {
    if (isAbort(error)) return;
    card.hidden = false;
    showError(card, error, () => select(point));
  }
}

/** @param {Clip} clip */
function showCard(clip) {
  const player = Player.ofClip(clip);
  const closeAndReturn = () => {
    scatter.current = scatter.selected;
    close();
    scatter.canvas.focus();
  };
  card.hidden = false;
  card.replaceChildren(
    player.button,
    make("h2", {}, clip.title),
    make("button", { type: "button", class: "map-close", "aria-label": "Close", onclick: closeAndReturn }, "×"),
    make("div", { class: "player" }, player.track, player.time));
  if (clip.tags.length) {
    card.append(make("ul", { class: "chips", "aria-label": "Tags" },
      ...clip.tags.map((tag) => make("li", {}, searchLink(tag, "chip")))));
  }
  card.append(make("p", {},
    make("a", { href: `?${new URLSearchParams({ like: clip.id })}`, "data-go": true }, "More like this")));
  stopDetached();
  announce(`${clip.title} is selected.`);
  return player;
}

export function close() {
  reading.abort();
  scatter.selected = -1;
  card.hidden = true;
  selected = null;
  card.replaceChildren();
  stopDetached();
  scatter.draw();
}

// Keys

/** @type {Record<string, [number, number]>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** @type {Record<string, () => void>} */
const ACTIONS = {
  "+": zoomIn, "=": zoomIn,
  "-": () => scatter.zoomBy(1 / ZOOM_STEP), 0: () => scatter.showAll(),
  Enter: () => { if (scatter.current >= 0) select(scatter.current); },
  " ": () => { if (scatter.current >= 0) toggle(scatter.current); },
  Escape: () => (selected ? close() : pointAt(-1)),
};

/** @param {KeyboardEvent} event */
function handleKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || !state.answer) return;
  const arrow = ARROWS[event.key];
  const action = ACTIONS[event.key];
  if (!arrow && !action) return;
  event.preventDefault();
  if (!arrow) action();
  else if (event.shiftKey) scatter.moveBy(-PAN_STEP * arrow[0], -PAN_STEP * arrow[1]);
  else step(arrow);
}

function zoomIn() {
  const { viewport, current } = scatter;
  if (current < 0) scatter.zoomBy(ZOOM_STEP);
  else scatter.zoomBy(ZOOM_STEP, ...viewport.placeOf(current));
}

/** Go to the next point in a direction. @param {[number, number]} arrow */
function step(arrow) {
  const next = scatter.viewport.towards(scatter.current, ...arrow);
  if (next < 0) return announce("No more sounds in that direction.");
  stop();
  scatter.goTo(next);
  showTip(next);
  announce(describe(next));
  playSoon(next);
}

/** @param {number} point */
function toggle(point) {
  if (selected?.id === idOf(point)) return selected.player?.toggle();
  if (hovered?.player.playing) stop();
  else play(point);
}

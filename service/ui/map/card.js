/** One sound of the map: pointed at, heard, and kept on a card. */

import * as api from "../lib/api.js";
import { complain, find, make, searchLink } from "../lib/dom.js";
import { chart, picture, say } from "./state.js";
import { Control, pause, stopOrphan } from "../components/player.js";

const REST_MS = 250; // before a sound that is pointed at is heard

const tip = find("map-tip");
const card = find("map-card");

let heard = null; // the control of the sound pointed at
let kept = null; // the id of the sound on the card
let resting = 0;
let pinning = new AbortController();

/** Listen to pointers and keys on the map. */
export function start() {
  chart.canvas.addEventListener("point", ({ detail }) => pointAt(detail));
  chart.canvas.addEventListener("pick", ({ detail }) => (detail < 0 ? unpin() : pin(detail)));
  chart.canvas.addEventListener("view", () => { tip.hidden = true; });
  chart.canvas.addEventListener("keydown", key);
  find("map-hear").addEventListener("change", (event) => !event.target.checked && hush());
}

/** Another view is shown: nothing starts to play any more. */
export const leave = () => clearTimeout(resting);

/** A sound in words. */
const describe = (point) => {
  const tags = picture.shown.points.tags[point].slice(0, 4).map((name) => picture.shown.names[name]);
  return [picture.shown.points.title[point], ...tags].join(", ");
};

function pointAt(point) {
  clearTimeout(resting);
  chart.canvas.classList.toggle("pointing", point >= 0);
  if (point !== chart.current) {
    chart.current = point;
    chart.draw();
    if (heard && (point < 0 || heard.id !== picture.shown.points.id[point])) hush();
  }
  showTip(point);
  if (point >= 0 && find("map-hear").checked) resting = setTimeout(() => hear(point), REST_MS);
}

function showTip(point) {
  tip.hidden = point < 0;
  if (point < 0) return;
  tip.textContent = picture.shown.points.title[point];
  const [left, top] = chart.where(chart.x[point], chart.y[point]);
  const half = tip.offsetWidth / 2 + 4;
  tip.style.left = `${Math.min(chart.size[0] - half, Math.max(half, left))}px`;
  tip.style.top = `${top}px`;
  tip.classList.toggle("below", top < 56);
}

function hear(point) {
  const id = picture.shown.points.id[point];
  if (heard?.id === id && heard.playing) return;
  heard = new Control({ address: `/v1/clips/${encodeURIComponent(id)}/audio`, title: picture.shown.points.title[point] });
  heard.id = id;
  heard.play(0);
}

function hush() {
  if (heard?.playing) pause();
  heard = null;
}

/** Show a sound on the card; `thenFocus`: and lead to it. */
export async function pin(point, thenFocus = false) {
  const id = picture.shown.points.id[point];
  pinning.abort();
  const { signal } = (pinning = new AbortController());
  chart.pinned = point;
  chart.goTo(point);
  tip.hidden = true;
  kept = id;
  try {
    const clip = await api.clip(id, signal);
    showCard(clip);
    if (thenFocus) card.focus();
  } catch (error) {
    if (error.name === "AbortError") return;
    card.hidden = false;
    complain(card, error, () => pin(point));
  }
}

function showCard(clip) {
  const control = new Control({ ...clip, address: clip.audio, waveform: clip.audio.replace(/audio$/, "waveform") });
  card.hidden = false;
  card.replaceChildren(
    control.button,
    make("h2", {}, clip.title),
    make("button", { type: "button", class: "map-close", "aria-label": "Close", onclick: () => {
      chart.current = chart.pinned;
      unpin();
      chart.canvas.focus();
    } }, "×"),
    make("div", { class: "player" }, control.track, control.time),
    clip.tags.length && make("ul", { class: "chips", "aria-label": "Tags" },
      ...clip.tags.map((tag) => make("li", {}, searchLink(tag, "chip")))),
    make("p", {}, make("a", { href: `?${new URLSearchParams({ like: clip.id })}`, "data-go": true }, "More like this")));
  stopOrphan();
  say(`${clip.title} is chosen.`);
  card.control = control;
}

export function unpin() {
  pinning.abort();
  chart.pinned = -1;
  card.hidden = true;
  kept = null;
  card.replaceChildren();
  stopOrphan();
  chart.draw();
}

// Keys

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || !picture.shown) return;
  const point = chart.current;
  const actions = {
    "+": () => chart.zoomBy(1.6, ...centre()), "=": () => chart.zoomBy(1.6, ...centre()),
    "-": () => chart.zoomBy(1 / 1.6), 0: () => chart.fit(),
    Enter: () => point >= 0 && pin(point),
    " ": () => point >= 0 && play(point),
    Escape: () => (kept ? unpin() : pointAt(-1)),
  };
  const arrow = ARROWS[event.key];
  if (!arrow && !(event.key in actions)) return;
  event.preventDefault();
  if (!arrow) return actions[event.key]();
  if (event.shiftKey) return chart.moveBy(-80 * arrow[0], -80 * arrow[1]);
  step(arrow);
}

const centre = () => (chart.current < 0 ? [] : chart.where(chart.x[chart.current], chart.y[chart.current]));

function step(arrow) {
  const next = chart.towards(...arrow);
  if (next < 0) {
    say("No more sounds that way.");
    return;
  }
  hush();
  chart.goTo(next);
  showTip(next);
  say(describe(next));
  clearTimeout(resting);
  if (find("map-hear").checked) resting = setTimeout(() => hear(next), REST_MS);
}

function play(point) {
  if (kept === picture.shown.points.id[point]) return card.control?.toggle();
  if (heard?.playing) hush();
  else hear(point);
}

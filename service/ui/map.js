/** Map of sounds: the library as a picture of its space. */

import * as api from "./api.js";
import { Chart, FORMS } from "./chart.js";
import { complain, find, make, searchLink, shape } from "./dom.js";
import { Control, pause, stopOrphan } from "./player.js";

export const title = "Map of sounds";
export const focus = "map-title";

const COLOURS = FORMS.length - 1; // the last form is for all other sounds
const REST_MS = 250; // before a sound that is pointed at is heard
const POLL_MS = [1500, 6000]; // while the map is being made: at first, and at most
const LISTED = 60;
const BEST = 20; // sounds for words that stand out, and those that have the words

const canvas = find("map-canvas");
const said = find("map-said");
const tip = find("map-tip");
const card = find("map-card");
const list = find("map-list");
const chart = new Chart(canvas);

let shown = null; // the answer that is shown
let numbers = new Map(); // of points, by id
let coloured = []; // names (numbers of them) in colour
let chosen = null; // the name that is highlighted
let words = ""; // those whose sounds are highlighted
let heard = null; // the control of the sound pointed at
let cardId = null;
let isShown = false;
let [polling, resting, listing, wait] = [0, 0, 0, POLL_MS[0]];
let loading = new AbortController();
let searching = new AbortController();
let pinning = new AbortController();

/** Listen to the map and what is around it. */
export function start() {
  canvas.addEventListener("point", ({ detail }) => pointAt(detail));
  canvas.addEventListener("pick", ({ detail }) => (detail < 0 ? unpin() : pin(detail)));
  canvas.addEventListener("view", () => {
    tip.hidden = true;
    find("map-out").disabled = find("map-fit").disabled = chart.zoom === 1;
    clearTimeout(listing);
    listing = setTimeout(showList, 200);
  });
  canvas.addEventListener("settled", placeLabels);
  canvas.addEventListener("keydown", key);
  find("map-in").addEventListener("click", () => chart.zoomBy(1.6));
  find("map-out").addEventListener("click", () => zoomOut(1.6));
  find("map-fit").addEventListener("click", () => zoomOut(Infinity));
  find("map-hear").addEventListener("change", (event) => !event.target.checked && hush());
  find("map-legend").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) choose(Number(button.dataset.name));
  });
  find("map-colour").addEventListener("submit", colour);
  find("map-tag").addEventListener("input", (event) => {
    if (event.inputType === undefined || event.inputType === "insertReplacementText") colour(event);
  });
  find("map-search").addEventListener("submit", (event) => {
    event.preventDefault();
    highlight();
  });
  find("map-words").addEventListener("input", () => !find("map-words").value && highlight());
  list.addEventListener("toggle", showList);
  list.addEventListener("focusout", () => setTimeout(showList));
  list.addEventListener("click", (event) => {
    const point = numbers.get(event.target.closest("button")?.dataset.id);
    if (point !== undefined) pin(point, true);
  });
}

export function show() {
  if (isShown) return;
  isShown = true;
  load();
}

export function hide() {
  isShown = false;
  loading.abort();
  clearTimeout(polling);
  clearTimeout(resting);
}

// The map itself

async function load() {
  loading.abort();
  const { signal } = (loading = new AbortController());
  clearTimeout(polling);
  if (!shown) state("Reading the map…", true);
  try {
    const answer = await api.map(signal);
    find("map-problem").replaceChildren();
    take(answer);
  } catch (error) {
    if (error.name === "AbortError") return;
    state("");
    complain(find("map-problem"), error, load);
  }
}

function state(text, busy = false) {
  const place = find("map-state");
  place.classList.toggle("busy", busy);
  if (place.textContent !== text) place.textContent = text;
}

function take(answer) {
  const before = shown;
  const old = numbers;
  const pinned = before?.points.id[chart.pinned];
  const current = before?.points.id[chart.current];
  const { points } = (shown = answer);
  find("map-parts").hidden = answer.state === "empty";
  sayState(before);
  if (answer.state === "making") {
    polling = setTimeout(load, wait);
    wait = Math.min(POLL_MS[1], 1.3 * wait);
  } else {
    wait = POLL_MS[0];
  }
  if (answer.state === "empty" || same(before, answer)) return;
  numbers = new Map(points.id.map((id, point) => [id, point]));
  chart.pinned = numbers.get(pinned) ?? -1;
  chart.current = numbers.get(current) ?? -1;
  if (pinned && chart.pinned < 0) unpin();
  colourTags(before);
  canvas.setAttribute("aria-label", `Map of ${count(points.id.length)}`);
  chart.put(points.x, points.y, before && points.id.map((id) => old.get(id) ?? -1));
  if (words) highlight();
}

const same = (before, { points }) => before
  && ["id", "title", "x", "y", "tags"].every((name) => String(before.points[name]) === String(points[name]));

const count = (sounds) => (sounds === 1 ? "1 sound" : `${sounds.toLocaleString("en")} sounds`);

function sayState(before) {
  const { state: now, rough, total, shown: number } = shown;
  const part = number < total ? `, evenly picked from ${total.toLocaleString("en")}` : "";
  if (now === "empty") {
    find("map-state").replaceChildren("There is nothing to show yet: the library holds no sounds. ",
      make("a", { href: "#tag", "data-go": true }, "Add the first"));
  } else if (now === "making") {
    state(rough ? `A first, rough picture of ${count(number)}${part}. The map is being made…`
      : `${count(number)}${part}. The library has changed: the map is being made anew…`, true);
  } else if (rough) {
    state(`A rough picture of ${count(number)}${part}.`);
  } else {
    state(`${before?.state === "making" ? "The map is ready: " : ""}${count(number)}${part}.`);
  }
}

// Colours

function colourTags(before) {
  const { names } = shown;
  const kept = before ? coloured.map((number) => names.indexOf(before.names[number])) : [];
  const keptChoice = chosen === null ? null : names.indexOf(before.names[chosen]);
  coloured = kept.filter((number) => number >= 0);
  while (coloured.length < Math.min(COLOURS, names.length)) coloured.push(nextColour());
  chosen = keptChoice === -1 ? null : keptChoice;
  find("map-tags").replaceChildren(...names.slice(0, 300).map((name) => make("option", { value: name })));
  recolour();
}

/** The most frequent tag of the sounds that have no colour yet, or of all. */
function nextColour() {
  const { tags } = shown.points;
  const counts = new Uint32Array(shown.names.length);
  for (const own of tags) {
    if (!own.some((name) => coloured.includes(name))) own.forEach((name) => { counts[name] += 1; });
  }
  let best = shown.names.findIndex((_, name) => !coloured.includes(name));
  counts.forEach((times, name) => { if (times > counts[best]) best = name; });
  return best;
}

/** Each sound in the colour of the rarest of its tags that have one: that says most of it. */
function recolour() {
  const { tags } = shown.points;
  chart.kinds = Uint8Array.from(tags, (own) => {
    for (let place = own.length - 1; place >= 0; place--) {
      const kind = coloured.indexOf(own[place]);
      if (kind >= 0) return kind;
    }
    return COLOURS;
  });
  const held = document.activeElement?.closest("#map-legend button")?.dataset.name;
  find("map-legend").replaceChildren(...coloured.map((name, kind) => make("li", {},
    make("button", { type: "button", class: "chip", "data-name": name, "aria-pressed": String(name === chosen) },
      shape("svg", { viewBox: "-8 -8 16 16", class: `map-${kind}`, "aria-hidden": true },
        shape("path", { d: FORMS[kind] })),
      shown.names[name]))));
  find("map-legend").querySelector(`[data-name="${held}"]`)?.focus();
  placeLabels();
  chart.marked = marked();
  chart.paint();
}

/** Names in colour, where most of their sounds are. */
function placeLabels() {
  if (!shown || canvas.clientWidth < 480) return void (chart.labels = []);
  const placed = [];
  coloured.forEach((name, kind) => {
    const cells = new Map();
    let all = 0;
    shown.points.tags.forEach((_, point) => {
      if (chart.kinds[point] !== kind) return;
      all += 1;
      const cell = `${Math.round(chart.x[point] * 9)} ${Math.round(chart.y[point] * 9)}`;
      cells.set(cell, [...(cells.get(cell) ?? []), point]);
    });
    const best = [...cells.values()].sort((one, other) => other.length - one.length)[0] ?? [];
    if (best.length < Math.max(3, 0.12 * all)) return; // they lie everywhere
    const middle = (values) => best.reduce((sum, point) => sum + values[point], 0) / best.length;
    const top = Math.min(...best.map((point) => chart.y[point]));
    const label = { text: shown.names[name], x: middle(chart.x), y: top };
    if (placed.every(({ x, y }) => Math.abs(x - label.x) > 0.12 || Math.abs(y - label.y) > 0.05)) placed.push(label);
  });
  chart.labels = placed;
  chart.draw();
}

function colour(event) {
  event.preventDefault();
  const field = find("map-tag");
  const name = shown.names.indexOf(field.value.trim().toLowerCase());
  if (name < 0) {
    if (event.type === "submit" && field.value) said.textContent = `No sound here has the tag “${field.value}”.`;
    return;
  }
  field.value = "";
  coloured = [name, ...coloured.filter((other) => other !== name)].slice(0, COLOURS);
  chosen = null;
  choose(name);
}

function choose(name) {
  chosen = chosen === name ? null : name;
  find("map-words").value = words = "";
  searching.abort();
  recolour();
  said.textContent = chosen === null ? "All sounds stand out alike."
    : `${count(chart.marked.size)} tagged ${shown.names[name]}.`;
}

let found = null; // points of the words' sounds

function marked() {
  if (words) return found;
  if (chosen === null) return null;
  const own = new Set();
  shown.points.tags.forEach((tags, point) => tags.includes(chosen) && own.add(point));
  return own;
}

async function highlight() {
  searching.abort();
  const { signal } = (searching = new AbortController());
  words = find("map-words").value.trim();
  find("map-problem").replaceChildren();
  if (!words) {
    found = null;
    said.textContent = "";
    return recolour();
  }
  said.textContent = "Searching…";
  try {
    const given = new URLSearchParams([["q", words], ["k", 100], ["fields", "id"], ["fields", "why"]]);
    const { hits } = await api.sounds({ kind: "search", given }, signal);
    const fitting = hits.filter(({ why }, rank) => rank < BEST || why.matched.length);
    found = new Set(fitting.map(({ id }) => numbers.get(id)).filter((point) => point !== undefined));
    chosen = null;
    recolour();
    said.textContent = found.size ? `The ${count(found.size)} that fit “${words}” best stand out.`
      : `Nothing found for “${words}”.`;
  } catch (error) {
    if (error.name === "AbortError") return;
    said.textContent = "";
    complain(find("map-problem"), error, highlight);
  }
}

// One sound

const describe = (point) => {
  const tags = shown.points.tags[point].slice(0, 4).map((name) => shown.names[name]);
  return [shown.points.title[point], ...tags].join(", ");
};

function pointAt(point) {
  clearTimeout(resting);
  canvas.classList.toggle("pointing", point >= 0);
  if (point !== chart.current) {
    chart.current = point;
    chart.draw();
    if (heard && (point < 0 || heard.id !== shown.points.id[point])) hush();
  }
  showTip(point);
  if (point >= 0 && find("map-hear").checked) resting = setTimeout(() => hear(point), REST_MS);
}

function showTip(point) {
  tip.hidden = point < 0;
  if (point < 0) return;
  tip.textContent = shown.points.title[point];
  const [left, top] = chart.where(chart.x[point], chart.y[point]);
  const half = tip.offsetWidth / 2 + 4;
  tip.style.left = `${Math.min(chart.size[0] - half, Math.max(half, left))}px`;
  tip.style.top = `${top}px`;
  tip.classList.toggle("below", top < 56);
}

function hear(point) {
  const id = shown.points.id[point];
  if (heard?.id === id && heard.playing) return;
  heard = new Control({ address: `/v1/clips/${encodeURIComponent(id)}/audio`, title: shown.points.title[point] });
  heard.id = id;
  heard.play(0);
}

function hush() {
  if (heard?.playing) pause();
  heard = null;
}

async function pin(point, thenFocus = false) {
  const id = shown.points.id[point];
  pinning.abort();
  const { signal } = (pinning = new AbortController());
  chart.pinned = point;
  chart.goTo(point);
  tip.hidden = true;
  cardId = id;
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
      canvas.focus();
    } }, "×"),
    make("div", { class: "player" }, control.track, control.time),
    clip.tags.length && make("ul", { class: "chips", "aria-label": "Tags" },
      ...clip.tags.map((tag) => make("li", {}, searchLink(tag, "chip")))),
    make("p", {}, make("a", { href: `?${new URLSearchParams({ like: clip.id })}`, "data-go": true }, "More like this")));
  stopOrphan();
  said.textContent = `${clip.title} is chosen.`;
  card.control = control;
}

function unpin() {
  pinning.abort();
  chart.pinned = -1;
  card.hidden = true;
  cardId = null;
  card.replaceChildren();
  stopOrphan();
  chart.draw();
}

// Keys, and the list

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || !shown) return;
  const point = chart.current;
  const actions = {
    "+": () => chart.zoomBy(1.6, ...centre()), "=": () => chart.zoomBy(1.6, ...centre()),
    "-": () => chart.zoomBy(1 / 1.6), 0: () => chart.fit(),
    Enter: () => point >= 0 && pin(point),
    " ": () => point >= 0 && play(point),
    Escape: () => (cardId ? unpin() : pointAt(-1)),
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
    said.textContent = "No more sounds that way.";
    return;
  }
  hush();
  chart.goTo(next);
  showTip(next);
  said.textContent = describe(next);
  clearTimeout(resting);
  if (find("map-hear").checked) resting = setTimeout(() => hear(next), REST_MS);
}

function play(point) {
  if (cardId === shown.points.id[point]) return card.control?.toggle();
  if (heard?.playing) hush();
  else hear(point);
}

/** Zoom out without losing the focus on a button that has nothing more to do. */
function zoomOut(factor) {
  if (factor === Infinity) chart.fit();
  else chart.zoomBy(1 / factor);
  if (chart.zoom === 1) find("map-in").focus();
}

function showList() {
  if (!shown || !list.open || list.contains(document.activeElement?.closest("button"))) return;
  const points = chart.seen();
  const { id, title } = shown.points;
  find("map-list").querySelector("summary").textContent = `List of the sounds in view: ${points.length.toLocaleString("en")}`;
  list.querySelector("ul").replaceChildren(
    ...points.slice(0, LISTED).map((point) => make("li", {},
      make("button", { type: "button", class: "link", "data-id": id[point] }, title[point]))),
    points.length > LISTED && make("li", { class: "quiet" },
      `and ${(points.length - LISTED).toLocaleString("en")} more: zoom in to see them`) || "");
}

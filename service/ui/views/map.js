/** The map view: all sounds as points, similar ones close together. */

import { getMap, isAbort } from "../lib/api.js";
import { find, findButton, focused, make, showError } from "../lib/dom.js";
import { number } from "../lib/format.js";
import * as card from "../map/card.js";
import * as legend from "../map/legend.js";
import { countSounds, scatter, shownMap, state } from "../map/state.js";

/** @import { MapAnswer } from "../lib/api.js" */

export const title = "Map of the library";
export const focus = "map-title";

const POLL_MS = [1500, 6000]; // while the map is being computed: first, and longest
const POLL_GROWTH = 1.3;
const LIST_MS = 200; // after the view has changed
const MAX_LISTED = 60;
const ZOOM_STEP = 1.6;

const list = find("map-list", HTMLDetailsElement);

let isShown = false;
let collection = ""; // id; empty: the whole library
let pollTimer = 0;
let listTimer = 0;
let wait = POLL_MS[0];
let loading = new AbortController();

/** Listen to the map and what is around it. */
export function start() {
  legend.start();
  card.start();
  scatter.canvas.addEventListener("view", () => {
    findButton("map-out").disabled = findButton("map-fit").disabled = scatter.viewport.zoom === 1;
    clearTimeout(listTimer);
    listTimer = setTimeout(showList, LIST_MS);
  });
  find("map-in").addEventListener("click", () => scatter.zoomBy(ZOOM_STEP));
  find("map-out").addEventListener("click", () => {
    scatter.zoomBy(1 / ZOOM_STEP);
    keepFocus();
  });
  find("map-fit").addEventListener("click", () => {
    scatter.showAll();
    keepFocus();
  });
  list.addEventListener("toggle", showList);
  list.addEventListener("focusout", () => setTimeout(showList));
  list.addEventListener("click", ({ target }) => {
    const button = target instanceof Element ? target.closest("button") : null;
    const point = state.indices.get(button?.dataset.id ?? "");
    if (point !== undefined) card.select(point, true);
  });
}

export function show() {
  const wanted = new URLSearchParams(location.search).get("collection") ?? "";
  if (isShown && wanted === collection) return;
  [isShown, collection] = [true, wanted];
  load();
}

export function hide() {
  isShown = false;
  loading.abort();
  clearTimeout(pollTimer);
  card.leave();
}

async function load() {
  loading.abort();
  const { signal } = (loading = new AbortController());
  clearTimeout(pollTimer);
  if (!state.answer) showState("Reading the map…", true);
  try {
    const answer = await getMap(collection, signal);
    find("map-problem").replaceChildren();
    update(answer);
  } catch (error) {
    if (isAbort(error)) return;
    showState("");
    showError(find("map-problem"), error, load);
  }
}

/** @param {string} text @param {boolean} [busy] */
function showState(text, busy = false) {
  const place = find("map-state");
  place.classList.toggle("busy", busy);
  if (place.textContent !== text) place.textContent = text; // else it would be read out again
}

/** @param {MapAnswer} answer */
function update(answer) {
  const { answer: before, indices: previous } = state;
  const ids = before?.points.id ?? [];
  const [selected, current] = [ids[scatter.selected], ids[scatter.current]];
  state.answer = answer;
  find("map-parts").hidden = answer.state === "empty";
  describeState(answer, before);
  if (answer.state === "making") {
    pollTimer = setTimeout(load, wait);
    wait = Math.min(POLL_MS[1], POLL_GROWTH * wait);
  } else {
    wait = POLL_MS[0];
  }
  if (answer.state === "empty" || samePoints(before, answer)) return;
  const { id, x, y } = answer.points;
  state.indices = new Map(id.map((name, point) => [name, point]));
  scatter.selected = state.indices.get(selected) ?? -1;
  scatter.current = state.indices.get(current) ?? -1;
  if (selected && scatter.selected < 0) card.close();
  legend.update(before);
  scatter.canvas.setAttribute("aria-label", `Map of ${countSounds(id.length)}`);
  scatter.setPoints(x, y, before && id.map((name) => previous.get(name) ?? -1));
}

/** @param {MapAnswer | null} before @param {MapAnswer} answer */
const samePoints = (before, { points }) => before !== null
  && /** @type {const} */ (["id", "title", "x", "y", "tags"]).every(
    (name) => String(before.points[name]) === String(points[name]));

/** @param {MapAnswer} answer @param {MapAnswer | null} before */
function describeState({ state: now, rough, total, shown }, before) {
  const rest = collection ? " of a collection" : shown < total ? `, sampled from ${number(total)}` : "";
  const sounds = countSounds(shown) + rest;
  find("map-all").hidden = !collection;
  if (now === "empty") {
    find("map-state").replaceChildren("The library holds no sounds yet. ",
      make("a", { href: "#tag", "data-go": true }, "Add the first"));
  } else if (now === "making") {
    showState(rough ? `A rough map of ${sounds}. The final one is being computed…`
      : `${sounds}. The library has changed: the map is being computed again…`, true);
  } else if (rough) {
    showState(`A rough map of ${sounds}.`);
  } else {
    showState(`${before?.state === "making" ? "The map is ready: " : ""}${sounds}.`);
  }
}

/** Move the focus off a button that has just been disabled. */
function keepFocus() {
  if (scatter.viewport.zoom === 1) find("map-in").focus();
}

/** List the sounds in view, unless the focus is in the list. */
function showList() {
  if (!state.answer || !list.open || list.contains(focused()?.closest("button") ?? null)) return;
  const visible = scatter.viewport.visible();
  const { id, title: titles } = shownMap().points;
  const items = visible.slice(0, MAX_LISTED).map((point) => make("li", {},
    make("button", { type: "button", class: "link", "data-id": id[point] }, titles[point])));
  if (visible.length > MAX_LISTED) {
    items.push(make("li", { class: "quiet" },
      `and ${number(visible.length - MAX_LISTED)} more: zoom in to see them`));
  }
  find("map-list-summary").textContent = `Sounds in view: ${number(visible.length)}`;
  find("map-list-items").replaceChildren(...items);
}

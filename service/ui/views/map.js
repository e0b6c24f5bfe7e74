/** Map of sounds: the library as a picture of its space. */

import * as api from "../lib/api.js";
import { complain, find, make } from "../lib/dom.js";
import * as colours from "../map/legend.js";
import { chart, count, picture } from "../map/state.js";
import * as spot from "../map/card.js";

export const title = "Map of sounds";
export const focus = "map-title";

const POLL_MS = [1500, 6000]; // while the map is being made: at first, and at most
const LISTED = 60;

const list = find("map-list");

let isShown = false;
let [polling, listing, wait] = [0, 0, POLL_MS[0]];
let loading = new AbortController();

/** Listen to the map and what is around it. */
export function start() {
  colours.start();
  spot.start();
  chart.canvas.addEventListener("view", () => {
    find("map-out").disabled = find("map-fit").disabled = chart.zoom === 1;
    clearTimeout(listing);
    listing = setTimeout(showList, 200);
  });
  find("map-in").addEventListener("click", () => chart.zoomBy(1.6));
  find("map-out").addEventListener("click", () => zoomOut(1.6));
  find("map-fit").addEventListener("click", () => zoomOut(Infinity));
  list.addEventListener("toggle", showList);
  list.addEventListener("focusout", () => setTimeout(showList));
  list.addEventListener("click", (event) => {
    const point = picture.numbers.get(event.target.closest("button")?.dataset.id);
    if (point !== undefined) spot.pin(point, true);
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
  spot.leave();
}

async function load() {
  loading.abort();
  const { signal } = (loading = new AbortController());
  clearTimeout(polling);
  if (!picture.shown) state("Reading the map…", true);
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
  const before = picture.shown;
  const old = picture.numbers;
  const pinned = before?.points.id[chart.pinned];
  const current = before?.points.id[chart.current];
  const { points } = (picture.shown = answer);
  find("map-parts").hidden = answer.state === "empty";
  sayState(before);
  if (answer.state === "making") {
    polling = setTimeout(load, wait);
    wait = Math.min(POLL_MS[1], 1.3 * wait);
  } else {
    wait = POLL_MS[0];
  }
  if (answer.state === "empty" || same(before, answer)) return;
  picture.numbers = new Map(points.id.map((id, point) => [id, point]));
  chart.pinned = picture.numbers.get(pinned) ?? -1;
  chart.current = picture.numbers.get(current) ?? -1;
  if (pinned && chart.pinned < 0) spot.unpin();
  colours.colourTags(before);
  chart.canvas.setAttribute("aria-label", `Map of ${count(points.id.length)}`);
  chart.put(points.x, points.y, before && points.id.map((id) => old.get(id) ?? -1));
}

const same = (before, { points }) => before
  && ["id", "title", "x", "y", "tags"].every((name) => String(before.points[name]) === String(points[name]));

function sayState(before) {
  const { state: now, rough, total, shown: number } = picture.shown;
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

/** Zoom out without losing the focus on a button that has nothing more to do. */
function zoomOut(factor) {
  if (factor === Infinity) chart.fit();
  else chart.zoomBy(1 / factor);
  if (chart.zoom === 1) find("map-in").focus();
}

function showList() {
  if (!picture.shown || !list.open || list.contains(document.activeElement?.closest("button"))) return;
  const points = chart.seen();
  const { id, title } = picture.shown.points;
  find("map-list").querySelector("summary").textContent = `List of the sounds in view: ${points.length.toLocaleString("en")}`;
  list.querySelector("ul").replaceChildren(
    ...points.slice(0, LISTED).map((point) => make("li", {},
      make("button", { type: "button", class: "link", "data-id": id[point] }, title[point]))),
    points.length > LISTED && make("li", { class: "quiet" },
      `and ${(points.length - LISTED).toLocaleString("en")} more: zoom in to see them`) || "");
}

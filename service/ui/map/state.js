/** What the modules of the map share: its points on the canvas, and the answer they are of. */

import { Chart } from "./scatter.js";
import { find } from "../lib/dom.js";

export const chart = new Chart(find("map-canvas"));

/** `shown`: the answer that is shown; `numbers`: of its points, by id. */
export const picture = { shown: null, numbers: new Map() };

export const count = (sounds) => (sounds === 1 ? "1 sound" : `${sounds.toLocaleString("en")} sounds`);

export function say(text) {
  find("map-said").textContent = text;
}

/** What the modules of the map share: the plot, and the answer whose points it shows. */

import { find } from "../lib/dom.js";
import { count } from "../lib/format.js";
import { Scatter } from "./scatter.js";

/** @import { MapAnswer } from "../lib/api.js" */

export const scatter = new Scatter(find("map-canvas", HTMLCanvasElement));

/** The answer, null before the first; and the index of each of its points, by clip id.
 * @type {{answer: MapAnswer | null, indices: Map<string, number>}} */
export const state = { answer: null, indices: new Map() };

/** The points and tags of the answer. @returns {Pick<MapAnswer, "names" | "points">} */
export const shownMap = () => state.answer ?? {
  names: [], points: { id: [], title: [], x: [], y: [], tags: [] },
};

/** @param {number} sounds */
export const countSounds = (sounds) => count(sounds, "sound");

/** @param {string} text */
export function announce(text) {
  find("map-message").textContent = text;
}

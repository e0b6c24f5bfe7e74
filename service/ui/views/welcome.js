/** The start: what the library holds, and words to begin with. */

import * as api from "../lib/api.js";
import { find, make, searchLink } from "../lib/dom.js";

const TAGS = 14;

/** Tell of the library; where it cannot be asked, the start is as good without. */
export async function show() {
  try {
    const { clips, seconds, tags } = await api.library(TAGS);
    find("holds").textContent = clips
      ? `${clips.toLocaleString("en")} ${clips === 1 ? "sound" : "sounds"}, ${length(seconds)}. Often among them:`
      : "This library is empty. Add sounds in its own view, and they are found at once.";
    find("often").replaceChildren(...tags.map(({ tag }) => make("li", {}, searchLink(tag, "chip"))));
    find("often").hidden = !tags.length;
  } catch {
    find("holds").textContent = "";
  }
}

function length(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} seconds`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} minutes` : `${Math.round(seconds / 3600)} hours`;
}

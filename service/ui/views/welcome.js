/** The start of the find view: the size of the library, and tags to begin with. */

import { getSummary } from "../lib/api.js";
import { find, make, searchLink } from "../lib/dom.js";
import { count, duration } from "../lib/format.js";

const MAX_TAGS = 14;

/** Show the library's size and tags, or nothing where it cannot be read. */
export async function show() {
  try {
    const { clips, seconds, tags } = await getSummary(MAX_TAGS);
    find("library-size").textContent = clips
      ? `${count(clips, "sound")}, ${duration(seconds)}. Frequent tags:`
      : "This library is empty. Sounds that you add can be found at once.";
    find("frequent-tags").replaceChildren(...tags.map(({ tag }) => make("li", {}, searchLink(tag, "chip"))));
    find("frequent-tags").hidden = !tags.length;
  } catch {
    find("library-size").textContent = "";
  }
}

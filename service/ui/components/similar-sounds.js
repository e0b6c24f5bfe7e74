/** Sounds of the library like one's own. */

import { complain, find } from "../lib/dom.js";
import { withKey } from "./api-key.js";
import { Listener } from "../lib/upload.js";
import { stopOrphan } from "./player.js";
import { fromAddress } from "../lib/query.js";
import { result } from "./hit-item.js";
import * as sound from "./sound-picker.js";

const MOST = 10;
const LIKE = { ...fromAddress(""), like: "own" }; // hits say how alike they are
const listener = new Listener(find("similar-progress"));

export function start() {
  find("find-similar").addEventListener("click", search);
}

/** Another sound: those like the last one go. */
export function clear() {
  listener.stop();
  put([]);
  find("similar-problem").replaceChildren();
  find("similar-found").textContent = "";
}

async function search() {
  clear();
  try {
    const { hits } = await withKey(find("similar-problem"), () => listener.ask(
      `/v1/search/audio?k=${MOST}`, sound.current()));
    put(hits);
    find("similar-found").textContent = hits.length
      ? `${hits.length === 1 ? "1 sound" : `${hits.length} sounds`} of the library, the most alike first`
      : "The library holds no sounds yet.";
  } catch (error) {
    if (error.name !== "AbortError") complain(find("similar-problem"), error, search);
  }
}

function put(hits) {
  find("similar").replaceChildren(...hits.map((hit) => result(hit, LIKE, new Set())));
  stopOrphan();
}

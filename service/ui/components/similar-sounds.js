/** Sounds of the library that resemble the user's sound. */

import { isAbort } from "../lib/api.js";
import { find, showError } from "../lib/dom.js";
import { count, preciseRange } from "../lib/format.js";
import { fromAddress } from "../lib/query.js";
import { withKey } from "./api-key-form.js";
import { hitItem } from "./hit-item.js";
import { stopDetached } from "./player.js";
import { currentSound } from "./sound-picker.js";
import { Uploader } from "./upload-progress.js";

/** @import { Hit } from "../lib/api.js" */

const MAX_SOUNDS = 10;
const QUERY = { ...fromAddress(""), like: "upload" }; // hits show their similarity
const uploader = new Uploader(find("similar-progress"));

export function start() {
  find("find-similar").addEventListener("click", search);
}

/** Forget the last sound. */
export function clear() {
  uploader.cancel();
  show([]);
  find("similar-problem").replaceChildren();
  find("similar-status").textContent = "";
}

async function search() {
  clear();
  const sound = currentSound();
  if (!sound) return;
  const part = sound.player.outline.selection;
  try {
    const { hits } = await withKey(find("similar-problem"),
      () => uploader.send(`v1/search/audio?k=${MAX_SOUNDS}`, sound, part ?? {}));
    show(hits);
    find("similar-status").textContent = hits.length
      ? `${count(hits.length, "sound")} of the library, most similar ${part ? `to ${preciseRange(part)} ` : ""}first`
      : "The library holds no sounds yet.";
  } catch (error) {
    if (!isAbort(error)) showError(find("similar-problem"), error, search);
  }
}

/** @param {Hit[]} hits */
function show(hits) {
  find("similar").replaceChildren(...hits.map((hit) => hitItem(hit, QUERY, new Set())));
  stopDetached();
}

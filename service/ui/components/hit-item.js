/** What was found, as list items. What their buttons do is up to the list's listener. */

import * as api from "../lib/api.js";
import { bar, clock, make } from "../lib/dom.js";
import { Control } from "./player.js";
import { forWords, likeSound, toAddress } from "../lib/query.js";

const WINDOW_SECONDS = 2; // until the model has told how long its windows are
let windowSeconds = null;

/** A hit of a search, or a clip. `known`: words to mark among its tags. */
export function result(hit, query, known) {
  const control = new Control({
    ...hit, address: hit.audio, waveform: hit.audio.replace(/audio$/, "waveform"),
  });
  if (hit.start > 0) markMatch(control, hit);
  return make("li", { class: "result" },
    control.button,
    make("div", { class: "head" },
      make("h2", {}, hit.title), "score" in hit && grade(hit, query.like)),
    make("div", { class: "player" }, control.track, control.time,
      hit.start > 0 && make("button", {
        type: "button", class: "moment", onclick: () => control.play(hit.start),
      }, `match at ${clock(hit.start)}`)),
    make("div", { class: "about" },
      make("ul", { class: "chips", "aria-label": "Tags" },
        ...hit.tags.map((tag) => tagItem(tag, query, known))),
      make("p", { class: "actions" }, ...actions(hit, query))),
    make("p", { class: "small" },
      "why" in hit && make("span", {}, reasons(hit)),
      make("span", {}, ...origin(hit))));
}

function actions({ id, title, audio }, query) {
  return [
    make("a", {
      "data-go": true, href: toAddress(likeSound(query, id)), "aria-label": `More like this: ${title}`,
    }, "More like this"),
    make("a", { href: audio, download: title, "aria-label": `Download ${title}` }, "Download"),
  ];
}

async function markMatch(control, { start, duration }) {
  windowSeconds ??= api.model().then((model) => model.window_seconds).catch(() => WINDOW_SECONDS);
  control.mark([{ start, end: Math.min(duration, start + await windowSeconds) }]);
}

/** A tag: a link to search for it, and buttons to ask for it as well, or to leave it out. */
function tagItem(tag, query, known) {
  const chosen = query.tags.includes(tag);
  const look = chosen || known.has(tag) ? "result-tag said" : "result-tag";
  const sign = (which, name) => make("button", {
    type: "button", class: "sign", "data-sign": which, "data-tag": tag, "aria-label": name,
  });
  return make("li", { class: look },
    sign("-", `Without ${tag}`),
    make("a", { "data-go": true, href: toAddress(forWords(query, tag)) }, tag),
    !chosen && sign("+", `Add ${tag}`));
}

/** A bar: how alike two sounds are, or how well one matches by sound and words together. */
function grade({ score, cosine }, like) {
  const [name, value, means] = like
    ? ["Similarity", cosine, "Similarity of the sounds (cosine)"]
    : ["Score", score, "Score; 1 is the best by sound and by words"];
  const text = value.toFixed(2);
  return make("span", { class: "similarity", title: means },
    bar(value, text, name), make("span", { class: "number" }, text));
}

function reasons({ why: { sound_rank: rank, matched }, cosine, alike }) {
  const near = cosine === null ? "" : ` (${cosine.toFixed(2)})`;
  const parts = [];
  if (matched.length) parts.push(`by words: ${matched.join(", ")}`);
  if (rank) parts.push(`by sound #${rank}${near}`);
  if (alike.length) parts.push(`${alike.length} nearly the same`);
  return parts.join(" · ");
}

/** Author, source and licence; addresses become links. */
function origin({ author, source, licence }) {
  return [author, source, licence].filter(Boolean).flatMap((part, number) => {
    const isAddress = /^https?:\/\//.test(part);
    const shown = isAddress
      ? make("a", { href: part, rel: "noreferrer" }, part.replace(/^https?:\/\/(www\.)?/, ""))
      : part;
    return number ? [" · ", shown] : [shown];
  });
}

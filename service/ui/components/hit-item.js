/** A hit of a search, or a clip, as a list item. Its sign buttons are handled by the list. */

import { clipAddress, getModel } from "../lib/api.js";
import { make, meter } from "../lib/dom.js";
import { clock, key } from "../lib/format.js";
import { forSimilar, forWords, toAddress } from "../lib/query.js";
import { Player } from "./player.js";

/** @import { Clip, Hit } from "../lib/api.js" */
/** @import { Query } from "../lib/query.js" */

const WINDOW_SECONDS = 2; // where the model cannot be read
/** @type {Promise<number> | null} */
let windowSeconds = null;

/** @param {Hit} hit @param {Query} query @param {Set<string>} matched keys of tags to highlight */
export function hitItem(hit, query, matched) {
  const player = Player.ofClip(hit);
  const start = hit.start ?? 0;
  if (start > 0) markMatch(player, hit);
  return make("li", { class: "result" },
    player.button,
    make("div", { class: "head" },
      make("h2", {}, hit.title), scoreMeter(hit, query.like !== "")),
    make("div", { class: "player" }, player.track, player.time,
      start > 0 && make("button", {
        type: "button", class: "moment", onclick: () => player.play(start),
      }, `match at ${clock(start)}`)),
    make("div", { class: "about" },
      make("ul", { class: "chips", "aria-label": "Tags" },
        ...hit.tags.map((tag) => tagItem(tag, query, matched))),
      make("p", { class: "actions" }, ...actions(hit, query))),
    make("p", { class: "small" },
      hit.why && make("span", {}, reasons(hit)),
      make("span", {}, ...credits(hit))));
}

/** @param {Clip} clip @param {Query} query */
function actions({ id, title }, query) {
  return [
    make("a", {
      "data-go": true, href: toAddress(forSimilar(query, id)), "aria-label": `More like this: ${title}`,
    }, "More like this"),
    make("a", {
      href: clipAddress(id, "/audio"), download: title, "aria-label": `Download ${title}`,
    }, "Download"),
  ];
}

/** Highlight the window that matched. @param {Player} player @param {Hit} hit */
async function markMatch(player, { start = 0, duration }) {
  windowSeconds ??= getModel().then((model) => model.window_seconds).catch(() => WINDOW_SECONDS);
  player.mark([{ start, end: Math.min(duration, start + await windowSeconds) }]);
}

/** A tag: a link that searches for it, and buttons to require or to exclude it.
 * @param {string} tag @param {Query} query @param {Set<string>} matched */
function tagItem(tag, query, matched) {
  const required = query.tags.some((other) => key(other) === key(tag));
  /** @param {string} sign @param {string} name */
  const signButton = (sign, name) => make("button", {
    type: "button", class: "sign", "data-sign": sign, "data-tag": tag, "aria-label": name,
  });
  return make("li", { class: required || matched.has(key(tag)) ? "result-tag matched" : "result-tag" },
    signButton("-", `Without ${tag}`),
    make("a", { "data-go": true, href: toAddress(forWords(query, tag)) }, tag),
    !required && signButton("+", `Add ${tag}`));
}

/** The similarity of two sounds, or the score by sound and words together.
 * @param {Hit} hit @param {boolean} similar */
function scoreMeter({ score, cosine }, similar) {
  if (score === undefined) return null;
  const [name, value, meaning] = similar
    ? ["Similarity", cosine ?? 0, "Similarity of the sounds (cosine)"]
    : ["Score", score, "Score: 1 is the best both by sound and by words"];
  const text = value.toFixed(2);
  return make("span", { class: "similarity", title: meaning },
    meter(value, text, name), make("span", { class: "number" }, text));
}

/** What found it. @param {Hit} hit */
function reasons({ why, cosine, alike = [] }) {
  const parts = [];
  if (why?.matched.length) parts.push(`words: ${why.matched.join(", ")}`);
  if (why?.sound_rank) parts.push(`sound: #${why.sound_rank}${cosine == null ? "" : ` (${cosine.toFixed(2)})`}`);
  if (alike.length) parts.push(`${alike.length} near-duplicate${alike.length === 1 ? "" : "s"}`);
  return parts.join(" · ");
}

/** Author, source, licence, date and damage; web addresses become links. @param {Clip} clip */
function credits({ author, source, licence, recorded, damaged }) {
  const when = recorded && `recorded ${recorded.replace("T", " ")}`;
  const damage = damaged > 0 ? `damaged: ${damaged.toFixed(1)} s skipped` : "";
  return [author, source, licence, when, damage].filter(Boolean).flatMap((text, place) => {
    const isAddress = /^https?:\/\//.test(text);
    const shown = isAddress
      ? make("a", { href: text, rel: "noreferrer" }, text.replace(/^https?:\/\/(www\.)?/, ""))
      : text;
    return place ? [" · ", shown] : [shown];
  });
}

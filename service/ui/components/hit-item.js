/** A hit of a search, or a clip, as a list item. Its sign buttons are handled by the list. */

import { soundAddress } from "../lib/api.js";
import { make, meter } from "../lib/dom.js";
import { clockRange, key, percent } from "../lib/format.js";
import { forSimilar, forWords, toAddress } from "../lib/query.js";
import { Lanes } from "./lanes.js";
import { PartBar } from "./part-bar.js";
import { Player } from "./player.js";
import { zoomBar } from "./zoom-bar.js";

/** @import { Clip, Hit } from "../lib/api.js" */
/** @import { Query } from "../lib/query.js" */
/** @import { Span } from "../lib/span.js" */

const PARTS_SECONDS = 4; // longer sounds have a button to select a part
const LONG_SECONDS = 10; // longer ones can be looked at closely
const SECOND_SHARE = 0.5; // weight of moments other than the best
const SCORE = "Score: 1 is the best both by sound and by words";

/** What a result is selected, kept, edited and taught with.
 * @typedef {{select: Node, star: Node, teaching: Node | null, actions: (Node | false)[]}} Tools */

/** @param {Hit} hit @param {Query} query @param {Set<string>} matched keys of tags to highlight
 * @param {(hit: Hit, selectedPart: () => Span | null) => Tools} [toolsOf] */
export function hitItem(hit, query, matched, toolsOf) {
  const player = Player.ofClip(hit, { selectable: true });
  const curation = toolsOf?.(hit, () => player.outline.selection);
  const part = partBar(hit, player, query);
  const lanes = new Lanes(hit, player);
  return make("li", { class: "result" },
    player.button, curation?.select,
    make("div", { class: "head" },
      make("h2", {}, hit.title), curation?.teaching, curation?.star,
      make("span", { class: "ratings" }, confidenceMark(hit), ratingMeter(hit, query.like !== ""))),
    make("div", { class: "player" },
      player.track, player.time, part.node, tools(hit, player, part, lanes), lanes.node),
    make("div", { class: "about" },
      make("ul", { class: "chips", "aria-label": "Tags" },
        ...hit.tags.map((tag) => tagItem(tag, query, matched))),
      make("p", { class: "actions" },
        !hasTools(hit) && hit.duration > PARTS_SECONDS && part.button,
        ...(curation?.actions ?? []), ...actions(hit, query))),
    make("p", { class: "small" },
      hit.why && make("span", {}, reasons(hit, query.like !== "")),
      make("span", {}, ...credits(hit))));
}

/** What can be done with a part of it. @param {Hit} hit @param {Player} player @param {Query} query */
function partBar({ id, moments }, player, query) {
  return new PartBar(player, {
    best: moments?.[0],
    links: [
      {
        link: make("a", { "data-go": true }, "More like this part"), limited: true,
        address: (part) => toAddress(forSimilar(query, id, part)),
      },
      { link: make("a", { download: true }, "Download this part"), address: (part) => soundAddress(id, part) },
    ],
  });
}

/** @param {Hit} hit */
const hasTools = ({ duration, moments = [] }) => duration > LONG_SECONDS || moments.length > 0;

/** Its moments, and what can be done with a sound of this length.
 * @param {Hit} hit @param {Player} player @param {PartBar} part @param {Lanes} lanes */
function tools(hit, player, part, lanes) {
  const { moments = [], duration } = hit;
  player.outline.mark(moments.map(({ start, end }, place) => (
    { start, end, share: place ? SECOND_SHARE : 1 })));
  if (!hasTools(hit)) return null;
  const isLong = duration > LONG_SECONDS;
  return make("div", { class: "tools" },
    moments.length > 0 && make("ul", { class: "chips", "aria-label": "Moments, the best first" },
      ...moments.map((moment) => make("li", {}, momentButton(player, moment)))),
    part.button, isLong && lanes.button, isLong && zoomBar(player.outline));
}

/** @param {Player} player @param {{start: number, end: number}} moment */
function momentButton(player, { start, end }) {
  const times = clockRange({ start, end });
  return make("button", {
    type: "button", class: "moment", "aria-label": `Play ${times} of ${player.title}`,
    onclick: () => player.play(start, end),
  }, times);
}

/** How sure it is that this is what was asked for, in a word. @param {Hit} hit */
function confidenceMark({ confidence }) {
  return confidence && make("span", { class: "confidence", "data-confidence": confidence }, confidence);
}

/** @param {Clip} clip @param {Query} query */
function actions({ id, title }, query) {
  return [
    make("a", {
      "data-go": true, href: toAddress(forSimilar(query, id)), "aria-label": `More like this: ${title}`,
    }, "More like this"),
    make("a", {
      href: soundAddress(id), download: title, "aria-label": `Download ${title}`,
    }, "Download"),
  ];
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

/** How probable it is that it is right; where the model does not tell, how similar two sounds are, or
 * the score by sound and words together. @param {Hit} hit @param {boolean} similar */
function ratingMeter({ score, cosine, probability }, similar) {
  if (score === undefined) return null;
  const [name, value, text, meaning] = probability != null
    ? ["Probability", probability, percent(probability), "How probable it is that this is right"]
    : similar ? ["Similarity", cosine ?? 0, (cosine ?? 0).toFixed(2), "Similarity of the sounds (cosine)"]
      : ["Score", score, score.toFixed(2), SCORE];
  return make("span", { class: "similarity", title: meaning },
    meter(value, text, name), make("span", { class: "number" }, text));
}

/** What found it. @param {Hit} hit @param {boolean} similar */
function reasons({ why, score, cosine, probability, alike = [] }, similar) {
  const parts = [];
  if (why?.matched.length) parts.push(`words: ${why.matched.join(", ")}`);
  if (why?.sound_rank) parts.push(`sound: #${why.sound_rank}${cosine == null ? "" : ` (${cosine.toFixed(2)})`}`);
  if (!similar && probability != null && score !== undefined) parts.push(`score:\u00a0${score.toFixed(2)}`);
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

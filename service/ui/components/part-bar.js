/** The part that is selected of a hit: play it, ask with it, or download it. */

import { soundAddress } from "../lib/api.js";
import { make } from "../lib/dom.js";
import { between, lengthOf } from "../lib/span.js";
import { preciseRange } from "../lib/format.js";
import { forSimilar, toAddress } from "../lib/query.js";

/** @import { Hit } from "../lib/api.js" */
/** @import { Query } from "../lib/query.js" */
/** @import { Player } from "./player.js" */

export class PartBar {
  #hit;
  #player;
  #query;

  /** @param {Hit} hit @param {Player} player of it @param {Query} query whose filters stay */
  constructor(hit, player, query) {
    this.#hit = hit;
    this.#player = player;
    this.#query = query;
    const { outline } = player;
    /** A button that selects without a pointer. */
    this.button = make("button", {
      type: "button", class: "link", "aria-label": `Select a part of ${hit.title}`,
      onclick: () => this.#begin(),
    }, "Select a part");
    this.times = make("p", { class: "number", role: "status" });
    this.similar = make("a", { "data-go": true, href: "" }, "More like this part");
    this.download = make("a", { download: true, href: "" }, "Download this part");
    this.tools = make("div", { class: "row", role: "group", "aria-label": `Part of ${hit.title}`, hidden: true },
      make("button", { type: "button", class: "moment", onclick: () => this.#play() }, "Play this part"),
      this.similar, this.download,
      make("button", { type: "button", class: "link", onclick: () => outline.select(null) }, "Clear"));
    this.node = make("div", { class: "part" }, this.times, this.tools);
    outline.node.addEventListener("select", () => this.#draw());
  }

  /** Select the best moment, or a part from the position on, and go to its beginning. */
  #begin() {
    const { outline, position } = this.#player;
    const [moment] = this.#hit.moments ?? [];
    const from = Math.min(position, outline.duration * 0.9);
    if (!outline.selection) {
      outline.select(between(moment?.start ?? from, moment?.end ?? from + lengthOf(outline.view) / 10,
        outline.duration));
    }
    if (outline.selection) outline.reveal(outline.selection);
    outline.edges[0].focus();
  }

  #play() {
    const { selection } = this.#player.outline;
    if (selection) this.#player.play(selection.start, selection.end);
  }

  #draw() {
    const { selection } = this.#player.outline;
    this.tools.hidden = !selection;
    this.times.textContent = selection ? `Selected: ${preciseRange(selection)}` : "";
    if (!selection) return;
    this.similar.href = toAddress(forSimilar(this.#query, this.#hit.id, selection));
    this.download.href = soundAddress(this.#hit.id, selection);
  }
}

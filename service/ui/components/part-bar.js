/** The part of a sound that is selected: its times, a button that plays it, and links that take it. */

import { make } from "../lib/dom.js";
import { preciseRange } from "../lib/format.js";
import { between, lengthOf } from "../lib/span.js";

/** @import { Span } from "../lib/span.js" */
/** @import { Player } from "./player.js" */

export class PartBar {
  #player;
  #links;
  #best;

  /**
   * @param {Player} player
   * @param {object} [options]
   * @param {[HTMLAnchorElement, (part: Span) => string][]} [options.links] with their addresses
   * @param {Span} [options.best] what is selected first without a pointer
   */
  constructor(player, { links = [], best } = {}) {
    this.#player = player;
    this.#links = links;
    this.#best = best;
    const { outline, title } = player;
    /** A button that selects without a pointer. */
    this.button = make("button", {
      type: "button", class: "link", "aria-label": `Select a part of ${title}`,
      onclick: () => this.#begin(),
    }, "Select a part");
    this.times = make("p", { class: "number", role: "status" });
    this.tools = make("div", { class: "row", role: "group", "aria-label": `Part of ${title}`, hidden: true },
      make("button", { type: "button", class: "moment", onclick: () => this.#play() }, "Play this part"),
      ...links.map(([link]) => link),
      make("button", { type: "button", class: "link", onclick: () => outline.select(null) }, "Clear"));
    this.node = make("div", { class: "part" }, this.times, this.tools);
    outline.node.addEventListener("select", () => this.#draw());
  }

  /** Select the best part, or one from the position on, and go to its beginning. */
  #begin() {
    const { outline, position } = this.#player;
    if (!outline.selection && outline.duration) {
      const start = this.#best?.start ?? Math.min(position, outline.duration * 0.9);
      const end = this.#best?.end ?? start + lengthOf(outline.view) / 10;
      outline.select(between(start, end, outline.duration));
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
    for (const [link, addressOf] of this.#links) {
      if (selection) link.setAttribute("href", addressOf(selection));
    }
  }
}

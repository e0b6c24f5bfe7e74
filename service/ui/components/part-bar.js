/** The part of a sound that is selected: its times, a button that plays it, and links that take it. */

import { limits } from "../lib/api.js";
import { make } from "../lib/dom.js";
import { duration, preciseRange } from "../lib/format.js";
import { between, lengthOf } from "../lib/span.js";

/** @import { Span } from "../lib/span.js" */
/** @import { Player } from "./player.js" */
/**
 * @typedef {object} PartLink
 * @property {HTMLAnchorElement} link
 * @property {(part: Span) => string} address
 * @property {boolean} [limited] leads to a search, which takes parts up to a limit
 */

const FIRST_SECONDS = 30; // selected without a pointer, at most

export class PartBar {
  #player;
  #links;
  #best;

  /**
   * @param {Player} player
   * @param {object} [options]
   * @param {PartLink[]} [options.links]
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
    this.note = make("span", { class: "quiet", hidden: true });
    this.tools = make("div", { class: "row", role: "group", "aria-label": `Part of ${title}`, hidden: true },
      make("button", { type: "button", class: "moment", onclick: () => this.#play() }, "Play this part"),
      ...links.map(({ link }) => link), this.note,
      make("button", { type: "button", class: "link", onclick: () => this.#clear() }, "Clear"));
    this.node = make("div", { class: "part" }, this.times, this.tools);
    outline.node.addEventListener("select", () => this.#draw());
  }

  /** Select the best part, or one from the position on, and go to its beginning. */
  #begin() {
    const { outline, position } = this.#player;
    if (!outline.selection && outline.duration) {
      const start = this.#best?.start ?? Math.min(position, outline.duration * 0.9);
      const length = this.#best ? Math.min(lengthOf(this.#best), limits.seconds)
        : Math.min(lengthOf(outline.view) / 10, FIRST_SECONDS);
      outline.select(between(start, start + length, outline.duration));
    }
    if (outline.selection) outline.reveal(outline.selection);
    outline.edges[0].focus();
  }

  #clear() {
    this.#player.outline.select(null);
    this.button.focus();
  }

  #play() {
    const { selection } = this.#player.outline;
    if (selection) this.#player.play(selection.start, selection.end);
  }

  #draw() {
    const { selection } = this.#player.outline;
    this.tools.hidden = !selection;
    this.button.hidden = selection !== null;
    this.times.textContent = selection ? `Selected: ${preciseRange(selection)}` : "";
    if (!selection) return;
    const isLong = lengthOf(selection) > limits.seconds;
    for (const { link, address, limited = false } of this.#links) {
      link.setAttribute("href", address(selection));
      if (limited) link.hidden = isLong;
      if (limited) this.note.hidden = !isLong;
    }
    this.note.textContent = `Too long to search with: ${duration(limits.seconds)} at most`;
  }
}

/** The tags of a sound: suggestions, which the user accepts or rejects, and tags that the user adds. */

import { find, findInput, focused, make, meter, searchLink } from "../lib/dom.js";
import { clock, key, percent, splitList } from "../lib/format.js";

/** @import { TagScore, Tagging, ScoredWindow } from "../lib/api.js" */
/** @import { Player } from "./player.js" */
/** @typedef {"accepted" | "rejected"} Choice */

const MAX_SUGGESTED = 8; // with those that accepted tags bring in
const MAX_LESS_LIKELY = 8;
const LONG_SECONDS = 4; // longer sounds show where a tag was found

export class TagList {
  /** @type {Map<string, Row>} */
  #rows = new Map(); // by tag, reused while the lists change around them
  /** @type {string[]} */
  #first = []; // the first suggestions: these stay in place
  /** @type {Player | null} */
  #player = null;
  #onChange;
  /** @type {Map<string, TagScore>} */
  #scores = new Map(); // by tag, the latest
  /** @type {Map<string, Choice>} */
  choices = new Map();
  /** @type {string[]} */
  added = [];

  /** @param {() => void} onChange called when the user accepts, rejects, adds or undoes */
  constructor(onChange) {
    this.#onChange = onChange;
    find("tag-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#add(findInput("tag-input").value);
      findInput("tag-input").value = "";
    });
    find("accept-all").addEventListener("click", () => this.#acceptAll());
  }

  get accepted() {
    return [...this.#chosen("accepted"), ...this.added];
  }

  get rejected() {
    return this.#chosen("rejected");
  }

  /** @param {Choice} choice */
  #chosen(choice) {
    return [...this.choices].filter(([, other]) => other === choice).map(([tag]) => tag);
  }

  /** The tags to copy as text: the accepted ones, else the suggestions that are not rejected. */
  get copyable() {
    return this.accepted.length ? this.accepted : this.#listed("tags").filter(
      (tag) => this.choices.get(tag) !== "rejected");
  }

  /** The scores of the tags on the page, with the user's choices. */
  report() {
    const shown = new Set([...this.#first, ...this.#rows.keys()]);
    return [
      ...[...shown].filter((tag) => this.#scores.has(tag)).map((tag) => (
        { ...this.#scores.get(tag), choice: this.choices.get(tag) ?? null })),
      ...this.added.map((tag) => ({ tag, choice: "accepted" })),
    ];
  }

  /** Forget the last sound. */
  clear() {
    this.#rows.clear();
    this.#scores.clear();
    this.choices.clear();
    this.#first = [];
    this.added = [];
    this.#drawAdded();
    find("tags").replaceChildren();
    find("less-likely-tags").replaceChildren();
  }

  /** Show suggestions. After the first ones of a sound, only scores change and tags are appended.
   * @param {Tagging} tagging @param {Player} player */
  show({ tags }, player) {
    this.#player = player;
    const isFirst = this.#scores.size === 0;
    for (const score of tags) this.#scores.set(score.tag, score);
    if (isFirst) this.#first = tags.filter((score) => score.suggested).map(({ tag }) => tag);
    const decided = this.#decided("less-likely-tags"); // these stay where they were
    const open = tags.filter(({ tag }) =>
      !this.added.includes(tag) && !this.#first.includes(tag) && !decided.includes(tag));
    const more = open.filter((score) => score.suggested)
      .slice(0, Math.max(0, MAX_SUGGESTED - this.#first.length)).map(({ tag }) => tag);
    const suggested = [...new Set([...this.#first, ...this.#decided("tags"), ...more])]
      .filter((tag) => !this.added.includes(tag));
    const rest = open.map(({ tag }) => tag).filter((tag) => !suggested.includes(tag));
    this.#draw("tags", suggested);
    this.#draw("less-likely-tags",
      [...decided, ...rest].slice(0, Math.max(decided.length, MAX_LESS_LIKELY)));
    find("no-tags").hidden = suggested.length > 0;
    find("accept-all").hidden = suggested.length === 0;
  }

  /** @param {string} list @returns {string[]} */
  #listed(list) {
    return [...find(list).querySelectorAll("li")].map((row) => row.dataset.tag ?? "");
  }

  /** The tags of a list that the user has accepted or rejected. @param {string} list */
  #decided(list) {
    return this.#listed(list).filter((tag) => this.choices.has(tag));
  }

  /** Put a list's rows in place; the focus stays. @param {string} list @param {string[]} tags */
  #draw(list, tags) {
    const before = focused();
    find(list).replaceChildren(...tags.map((tag) => this.#row(tag).node));
    if (before && before !== focused() && before.isConnected) before.focus({ preventScroll: true });
  }

  /** @param {string} tag */
  #row(tag) {
    const row = this.#rows.get(tag) ?? new Row(tag, this);
    this.#rows.set(tag, row);
    const score = this.#scores.get(tag);
    if (score && this.#player) row.draw(score, this.#player);
    return row;
  }

  /** Mark in the waveform where a tag was found. @param {string} tag */
  mark(tag) {
    const { windows = [] } = this.#scores.get(tag) ?? {};
    if (!this.#player?.duration) return;
    const best = Math.max(...windows.map(({ score }) => score));
    this.#player.outline.mark(windows.map(({ start, end, score }) => ({ start, end, share: score / best })));
  }

  /** Accept or reject a tag, or undo that. @param {string} tag @param {Choice} choice */
  choose(tag, choice) {
    if (this.choices.get(tag) === choice) this.choices.delete(tag);
    else this.choices.set(tag, choice);
    this.#rows.get(tag)?.setChoice(this.choices.get(tag));
    this.#onChange();
  }

  #acceptAll() {
    for (const tag of this.#listed("tags")) {
      if (this.choices.has(tag)) continue; // rejected tags stay so
      this.choices.set(tag, "accepted");
      this.#rows.get(tag)?.setChoice("accepted");
    }
    this.#onChange();
  }

  /** @param {string} text */
  #add(text) {
    const tags = splitList(key(text));
    for (const tag of tags) {
      if (this.#rows.get(tag)?.node.isConnected) {
        if (this.choices.get(tag) !== "accepted") this.choose(tag, "accepted");
      } else if (!this.added.includes(tag)) this.added.push(tag);
    }
    this.#drawAdded();
    if (tags.length) this.#onChange();
  }

  #drawAdded() {
    find("added-tags").replaceChildren(...this.added.map((tag) => make("li", { class: "chip removable" },
      tag, make("button", {
        type: "button", "aria-label": `Remove ${tag}`,
        onclick: () => {
          this.added = this.added.filter((other) => other !== tag);
          this.#drawAdded();
          find("tag-input").focus();
          this.#onChange();
        },
      }, "×"))));
  }
}

/** A tag: buttons to accept and reject it, its score, and where it was found. */
class Row {
  /** @param {string} tag @param {TagList} list */
  constructor(tag, list) {
    const mark = () => list.mark(tag);
    this.tag = tag;
    this.buttons = /** @type {Choice[]} */ (["accepted", "rejected"]).map((choice) => make("button", {
      type: "button", class: `decide ${choice}`, "aria-pressed": "false",
      "aria-label": `${choice === "accepted" ? "Accept" : "Reject"} ${tag}`,
      onclick: () => list.choose(tag, choice),
    }));
    this.figures = make("span", { class: "figures" });
    this.moments = make("span", { class: "moments" });
    this.node = make("li", { "data-tag": tag, onpointerenter: mark, onfocusin: mark },
      make("span", { class: "decisions" }, ...this.buttons), searchLink(tag, "chip"),
      this.figures, this.moments);
  }

  /** @param {TagScore} score @param {Player} player */
  draw({ score, lift, windows }, player) {
    const times = lift === null ? "" : lift < 9.5 ? lift.toFixed(1) : String(Math.round(lift));
    const text = `${percent(score)}${times && `, ${times} times as likely as usual`}`;
    this.figures.replaceChildren(meter(score, text, this.tag),
      make("span", { class: "number" }, percent(score)),
      make("span", { class: "number lift", title: "Times as likely as for any sound" }, times && `${times}×`));
    if (this.moments.childElementCount) return; // these may have the focus
    if (player.duration > LONG_SECONDS) this.moments.append(...momentButtons(windows, player, this.tag));
  }

  /** @param {Choice} [choice] */
  setChoice(choice) {
    for (const button of this.buttons) {
      button.setAttribute("aria-pressed", String(choice !== undefined && button.classList.contains(choice)));
    }
    this.node.dataset.choice = choice ?? "";
  }
}

/** Buttons that play the sound where a tag scores best, in order of time.
 * @param {ScoredWindow[]} windows @param {Player} player @param {string} tag */
function momentButtons(windows, player, tag) {
  const best = Math.max(...windows.map(({ score }) => score));
  const starts = windows.filter(({ score }) => score >= best / 2).map(({ start }) => start);
  return starts.sort((a, b) => a - b).map((start) => make("button", {
    type: "button", class: "link", "aria-label": `Play ${tag} from ${clock(start)}`,
    onclick: () => player.play(start),
  }, clock(start)));
}

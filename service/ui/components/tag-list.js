/** The tags of a sound: what is suggested, what people say of it, and tags of their own. */

import { bar, clock, find, make, percent, searchLink } from "../lib/dom.js";

const MOST_SUGGESTED = 8; // of those that come beside what is accepted
const MOST_LESS_SURE = 8;
const LONG_SECONDS = 4; // of longer sounds it is said where a tag was heard

/**
 * How much speaks for a tag. By the score alone what is common comes first ("ambience" before
 * "rain"), by the lift alone what is rare; on the demo library this puts the tag that names the
 * sound first for 49 of 189 (the score for 37), and one that it carries for 118 (111).
 */
const strength = ({ score, lift }) => (lift ?? 1) * score;
const byStrength = (tags) => [...tags].sort((a, b) => strength(b) - strength(a));

/** The lists of tags. `changed` is called when something is accepted, rejected or taken back. */
export class Tags {
  #rows = new Map(); // by tag: {node, draw}, kept as they are while lists change around them
  #first = []; // suggested at first: these stay where they are
  #control = null;
  #changed;
  #heard = new Map(); // by tag: its latest figures
  choices = new Map(); // by tag: accepted or rejected
  own = [];

  constructor(changed) {
    this.#changed = changed;
    find("own-tag").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#add(find("own-tag-word").value);
      find("own-tag-word").value = "";
    });
    find("accept-all").addEventListener("click", () => this.#acceptAll());
  }

  get accepted() {
    return [...this.#chosen("accepted"), ...this.own];
  }

  get rejected() {
    return this.#chosen("rejected");
  }

  #chosen(choice) {
    return [...this.choices].filter(([, each]) => each === choice).map(([tag]) => tag);
  }

  /** Tags as they are to be copied: what is accepted, else what is suggested. */
  get wanted() {
    return this.accepted.length ? this.accepted : this.#suggestedNow().filter(
      (tag) => this.choices.get(tag) !== "rejected");
  }

  /** All that is known of each tag shown, and of those of one's own. */
  report() {
    const shown = new Set([...this.#first, ...this.#rows.keys()]);
    return [
      ...[...shown].filter((tag) => this.#heard.has(tag)).map((tag) => (
        { ...this.#heard.get(tag), choice: this.choices.get(tag) ?? null })),
      ...this.own.map((tag) => ({ tag, choice: "accepted" })),
    ];
  }

  /** Another sound: nothing is known of it yet. */
  clear() {
    this.#rows.clear();
    this.#heard.clear();
    this.choices.clear();
    this.#first = [];
    this.own = [];
    this.#drawOwn();
    find("tags").replaceChildren();
    find("less-sure").replaceChildren();
  }

  /** Show an answer of the service. Of a further one, only figures change, and tags are added. */
  show({ tags }, control) {
    this.#control = control;
    const fresh = this.#heard.size === 0;
    for (const each of tags) this.#heard.set(each.tag, each);
    if (fresh) this.#first = byStrength(tags.filter((each) => each.suggested)).map(({ tag }) => tag);
    const own = new Set(this.own);
    const less = this.#inLess();
    const open = byStrength(tags).filter(({ tag }) =>
      !own.has(tag) && !this.#first.includes(tag) && !less.includes(tag));
    const more = open.filter((each) => each.suggested)
      .slice(0, Math.max(0, MOST_SUGGESTED - this.#first.length)).map(({ tag }) => tag);
    const chosen = this.#chosenIn("tags").filter((tag) => !this.#first.includes(tag));
    const suggested = [...new Set([...this.#first, ...chosen, ...more])].filter((tag) => !own.has(tag));
    const rest = open.map(({ tag }) => tag).filter((tag) => !suggested.includes(tag));
    this.#draw("tags", suggested);
    this.#draw("less-sure", [...less, ...rest].slice(0, Math.max(less.length, MOST_LESS_SURE)));
    find("no-tags").hidden = suggested.length > 0;
    find("accept-all").hidden = suggested.length === 0;
  }

  #suggestedNow() {
    return [...find("tags").children].map((node) => node.dataset.tag);
  }

  /** Less sure ones that people have decided on: they stay where they were. */
  #inLess() {
    return this.#chosenIn("less-sure");
  }

  #chosenIn(list) {
    return [...find(list).children].map((node) => node.dataset.tag)
      .filter((tag) => this.choices.has(tag));
  }

  /** Put a list's rows in place; what has the focus keeps it. */
  #draw(list, tags) {
    const focused = document.activeElement;
    const rows = tags.map((tag) => {
      if (!this.#rows.has(tag)) this.#rows.set(tag, new Row(tag, this));
      this.#rows.get(tag).draw(this.#heard.get(tag), this.#control);
      return this.#rows.get(tag).node;
    });
    find(list).replaceChildren(...rows);
    if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
  }

  /** Mark where a tag was heard. */
  mark(tag) {
    const { windows = [] } = this.#heard.get(tag) ?? {};
    if (!this.#control?.duration) return;
    const best = Math.max(...windows.map(({ score }) => score));
    this.#control.mark(windows.map(({ start, end, score }) => ({ start, end, share: score / best })));
  }

  /** Accept or reject a tag, or take that back. */
  choose(tag, choice) {
    if (this.choices.get(tag) === choice) this.choices.delete(tag);
    else this.choices.set(tag, choice);
    this.#rows.get(tag)?.choose(this.choices.get(tag));
    this.#changed();
  }

  #acceptAll() {
    for (const tag of this.#suggestedNow()) {
      if (this.choices.has(tag)) continue; // what is rejected stays so
      this.choices.set(tag, "accepted");
      this.#rows.get(tag).choose("accepted");
    }
    this.#changed();
  }

  #add(text) {
    const words = text.split(",").map((each) => each.trim().toLowerCase()).filter(Boolean);
    for (const word of words) {
      if (this.#rows.get(word)?.node.isConnected) {
        if (this.choices.get(word) !== "accepted") this.choose(word, "accepted");
      } else if (!this.own.includes(word)) this.own.push(word);
    }
    this.#drawOwn();
    if (words.length) this.#changed();
  }

  #drawOwn() {
    find("own-tags").replaceChildren(...this.own.map((tag) => make("li", { class: "chip removable" },
      tag, make("button", {
        type: "button", "aria-label": `Remove ${tag}`,
        onclick: () => {
          this.own = this.own.filter((each) => each !== tag);
          this.#drawOwn();
          find("own-tag-word").focus();
          this.#changed();
        },
      }, "×"))));
  }
}

/** A tag: two buttons to decide, how sure the model is, where it was heard. */
class Row {
  constructor(tag, board) {
    const marking = () => board.mark(tag);
    this.tag = tag;
    this.buttons = ["accepted", "rejected"].map((choice) => make("button", {
      type: "button", class: `decide ${choice}`, "aria-pressed": "false",
      "aria-label": `${choice === "accepted" ? "Accept" : "Reject"} ${tag}`,
      onclick: () => board.choose(tag, choice),
    }));
    this.figures = make("span", { class: "figures" });
    this.places = make("span", { class: "moments" });
    this.node = make("li", { "data-tag": tag, onpointerenter: marking, onfocusin: marking },
      make("span", { class: "decisions" }, ...this.buttons), searchLink(tag, "chip"),
      this.figures, this.places);
  }

  draw({ score, lift, windows }, control) {
    const times = lift === null ? "" : `${lift < 9.5 ? lift.toFixed(1) : Math.round(lift)}×`;
    const said = `${percent(score)}${lift === null ? "" : `, ${times.slice(0, -1)} times likelier than usual`}`;
    const level = bar(score, said, this.tag);
    this.figures.replaceChildren(level,
      make("span", { class: "number" }, percent(score)),
      make("span", { class: "number lift", title: "How many times likelier than of any sound" }, times));
    if (this.places.childElementCount) return; // what may have the focus stays
    if (control.duration > LONG_SECONDS) this.places.append(...moments(windows, control, this.tag));
  }

  choose(choice) {
    for (const button of this.buttons) {
      button.setAttribute("aria-pressed", button.classList.contains(choice));
    }
    this.node.dataset.choice = choice ?? "";
  }
}

/** Buttons that play the sound where a tag was heard best, in order of time. */
function moments(windows, control, tag) {
  const best = Math.max(...windows.map(({ score }) => score));
  const starts = windows.filter(({ score }) => score >= best / 2).map(({ start }) => start);
  return starts.sort((a, b) => a - b).map((start) => make("button", {
    type: "button", class: "link", "aria-label": `Play ${tag} from ${clock(start)}`,
    onclick: () => control.play(start),
  }, clock(start)));
}

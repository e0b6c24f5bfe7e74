/** Labels of one's own: chips, and for each, if wanted, the words that describe it. */

import { find, make } from "../lib/dom.js";

const MOST = 200; // that the service takes
const MOST_LETTERS = 100;

/** A list of labels that is typed. `changed` is called when it is another one. */
export class Labels {
  #changed;
  #words = new Map(); // by label: the words that stand for it; empty: the label itself

  constructor(changed) {
    this.#changed = changed;
    const box = find("label");
    box.addEventListener("keydown", (event) => {
      if (event.isComposing || (event.key !== "Enter" && event.key !== ",")) return;
      if (event.key === "," || box.value.trim()) event.preventDefault();
      this.typed();
    });
    box.addEventListener("paste", () => setTimeout(() => box.value.includes(",") && this.typed()));
  }

  get names() {
    return [...this.#words.keys()];
  }

  /** Words by label, as they are saved. */
  get all() {
    return Object.fromEntries(this.#words);
  }

  set all(words) {
    this.#words = new Map(Object.entries(words));
    this.#draw();
    this.#changed();
  }

  /** Take what stands in the box. */
  typed() {
    const box = find("label");
    const fresh = box.value.split(",").map((each) => each.trim().slice(0, MOST_LETTERS))
      .filter((each) => each && !this.#words.has(each));
    box.value = "";
    for (const label of fresh.slice(0, MOST - this.#words.size)) this.#words.set(label, "");
    if (!fresh.length) return;
    this.#draw();
    this.#changed();
  }

  /** What the service takes: plain labels, or for each the words that describe it. */
  get fields() {
    if (![...this.#words.values()].some(Boolean)) return { labels: this.names };
    return {
      prompts: JSON.stringify(Object.fromEntries([...this.#words].map(([label, words]) => [
        label, words ? words.split(",").map((each) => each.trim()).filter(Boolean) : [label]]))),
    };
  }

  #remove(label) {
    const place = this.names.indexOf(label);
    this.#words.delete(label);
    this.#draw();
    const next = find("label-chips").children[place] ?? find("label-chips").lastChild;
    (next?.querySelector("button") ?? find("label")).focus();
    this.#changed();
  }

  #draw() {
    find("label-chips").replaceChildren(...this.names.map((label) => make("li", { class: "chip removable" },
      label, make("button", {
        type: "button", "aria-label": `Remove ${label}`, onclick: () => this.#remove(label),
      }, "×"))));
    find("describe").hidden = this.#words.size === 0;
    find("words").replaceChildren(...this.names.map((label, number) => this.#wordsField(label, number)));
  }

  #wordsField(label, number) {
    const field = make("input", {
      id: `words-${number}`, class: "field", type: "text", value: this.#words.get(label),
      placeholder: label, spellcheck: "false", autocapitalize: "none", maxlength: 1000,
      onchange: () => {
        this.#words.set(label, field.value.split(",").map((each) => each.trim()).filter(Boolean).join(", "));
        this.#changed();
      },
    });
    return make("li", {}, make("label", { for: `words-${number}` }, label), field);
  }
}

/** The user's labels: chips, and optionally the words that describe each of them. */

import { find, findInput, make } from "../lib/dom.js";
import { splitList } from "../lib/format.js";

const MAX_LABELS = 200; // that the service takes
const MAX_LENGTH = 100; // characters of a label

export class LabelList {
  #onChange;
  /** @type {Map<string, string>} */
  #descriptions = new Map(); // by label; empty: the label describes itself

  /** @param {() => void} onChange called when labels or their descriptions change */
  constructor(onChange) {
    this.#onChange = onChange;
    const box = findInput("label");
    box.addEventListener("keydown", (event) => {
      if (event.isComposing || (event.key !== "Enter" && event.key !== ",")) return;
      if (event.key === "," || box.value.trim()) event.preventDefault();
      this.readBox();
    });
    box.addEventListener("paste", () => setTimeout(() => box.value.includes(",") && this.readBox()));
  }

  get names() {
    return [...this.#descriptions.keys()];
  }

  /** Descriptions by label, as they are saved. */
  get all() {
    return Object.fromEntries(this.#descriptions);
  }

  set all(descriptions) {
    this.#descriptions = new Map(Object.entries(descriptions));
    this.#draw();
    this.#onChange();
  }

  /** Add the labels that were typed. */
  readBox() {
    const box = findInput("label");
    const added = splitList(box.value).map((label) => label.slice(0, MAX_LENGTH))
      .filter((label) => !this.#descriptions.has(label));
    box.value = "";
    for (const label of added.slice(0, MAX_LABELS - this.#descriptions.size)) this.#descriptions.set(label, "");
    if (!added.length) return;
    this.#draw();
    this.#onChange();
  }

  /** The service's parameters: plain labels, or for each the words that describe it.
   * @returns {{labels: string[]} | {prompts: string}} */
  get parameters() {
    if (![...this.#descriptions.values()].some(Boolean)) return { labels: this.names };
    return {
      prompts: JSON.stringify(Object.fromEntries([...this.#descriptions].map(([label, words]) =>
        [label, words ? splitList(words) : [label]]))),
    };
  }

  /** @param {string} label */
  #remove(label) {
    const place = this.names.indexOf(label);
    this.#descriptions.delete(label);
    this.#draw();
    const next = find("label-chips").children[place] ?? find("label-chips").lastElementChild;
    (next?.querySelector("button") ?? find("label")).focus();
    this.#onChange();
  }

  #draw() {
    find("label-chips").replaceChildren(...this.names.map((label) => make("li", { class: "chip removable" },
      label, make("button", {
        type: "button", "aria-label": `Remove ${label}`, onclick: () => this.#remove(label),
      }, "×"))));
    find("describe").hidden = this.#descriptions.size === 0;
    find("label-words").replaceChildren(...this.names.map((label, place) => this.#descriptionField(label, place)));
  }

  /** @param {string} label @param {number} place */
  #descriptionField(label, place) {
    const field = make("input", {
      id: `label-words-${place}`, class: "field", type: "text", value: this.#descriptions.get(label),
      placeholder: label, spellcheck: "false", autocapitalize: "none", maxlength: 1000,
      onchange: () => {
        this.#descriptions.set(label, splitList(field.value).join(", "));
        this.#onChange();
      },
    });
    return make("li", {}, make("label", { for: `label-words-${place}` }, label), field);
  }
}

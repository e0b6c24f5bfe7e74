/** Label sets that the browser stores under names. */

import { find, findInput, make } from "../lib/dom.js";
import { readText, writeText } from "../lib/storage.js";

/** @typedef {{labels: Record<string, string>, multiple: boolean}} LabelSet descriptions by label */

const STORED_AS = "earmark-label-sets";

export class LabelSets {
  #sets = read() ?? {};
  #getCurrent;
  #onUse;

  /**
   * @param {() => LabelSet | null} getCurrent what is to be saved; null: there are no labels
   * @param {(set: LabelSet) => void} onUse called with the set that the user chooses
   */
  constructor(getCurrent, onUse) {
    this.#getCurrent = getCurrent;
    this.#onUse = onUse;
    find("save-set").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#save(findInput("set-name").value.trim());
    });
    addEventListener("storage", () => { // another tab has saved
      this.#sets = read() ?? this.#sets;
      this.#draw();
    });
    this.#draw();
  }

  /** @param {string} name */
  #save(name) {
    const set = this.#getCurrent();
    if (!set || !name) return showNote(name ? "Enter a label first." : "Enter a name for the set first.");
    const replaced = name in this.#sets;
    this.#sets = { ...(read() ?? this.#sets), [name]: set };
    const stored = write(this.#sets);
    findInput("set-name").value = "";
    this.#draw();
    const warning = " It lasts only until the page is closed, since the browser refuses to store it.";
    showNote(`${replaced ? "Replaced" : "Saved"} “${name}”.${stored ? "" : warning}`);
  }

  /** @param {string} name */
  #remove(name) {
    const place = Object.keys(this.#sets).indexOf(name);
    delete this.#sets[name];
    write(this.#sets);
    this.#draw();
    showNote(`Deleted “${name}”.`);
    const next = find("sets").children[place] ?? find("sets").lastElementChild;
    (next?.querySelector("button") ?? find("set-name")).focus();
  }

  #draw() {
    const names = Object.keys(this.#sets);
    find("sets").hidden = names.length === 0;
    find("sets").replaceChildren(...names.map((name) => make("li", { class: "chip removable" },
      make("button", {
        type: "button", class: "link", "aria-label": `Use ${name}`,
        title: Object.keys(this.#sets[name].labels).join(", "),
        onclick: () => {
          this.#onUse(this.#sets[name]);
          showNote(`Using the labels of “${name}”.`);
        },
      }, name),
      make("button", {
        type: "button", "aria-label": `Delete ${name}`, onclick: () => this.#remove(name),
      }, "×"))));
  }
}

/** @param {string} text */
const showNote = (text) => { find("sets-note").textContent = text; };

/** The stored sets; null where there is no storage, or something else in it.
 * @returns {Record<string, LabelSet> | null} */
function read() {
  try {
    /** @type {Record<string, LabelSet>} */
    const sets = JSON.parse(readText("localStorage", STORED_AS) ?? "null");
    return sets && Object.fromEntries(Object.entries(sets).filter(([, set]) =>
      typeof set?.labels === "object" && set.labels && Object.values(set.labels).every(
        (words) => typeof words === "string")));
  } catch {
    return null;
  }
}

/** @param {Record<string, LabelSet>} sets */
const write = (sets) => writeText("localStorage", STORED_AS, JSON.stringify(sets));

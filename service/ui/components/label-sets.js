/** Sets of labels, saved in the browser under names. */

import { find, make } from "../lib/dom.js";

const NAME = "earmark-label-sets";

/** The list of saved sets. `current()` gives what is to be saved, `use(set)` takes it back. */
export class Sets {
  #sets = read() ?? {};
  #current;
  #use;

  constructor(current, use) {
    this.#current = current;
    this.#use = use;
    find("save").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#save(find("set-name").value.trim());
    });
    addEventListener("storage", () => { // another tab has saved
      this.#sets = read() ?? this.#sets;
      this.#draw();
    });
    this.#draw();
  }

  #save(name) {
    const set = this.#current();
    if (!set || !name) return tell(name ? "Type a label first." : "Give the set a name first.");
    const there = name in this.#sets;
    this.#sets = { ...(read() ?? this.#sets), [name]: set };
    const lasting = write(this.#sets);
    find("set-name").value = "";
    this.#draw();
    tell(`${there ? "Replaced" : "Saved"} “${name}”.`
      + (lasting ? "" : " It lasts until the page is closed: this browser keeps nothing."));
  }

  #remove(name) {
    const place = Object.keys(this.#sets).indexOf(name);
    delete this.#sets[name];
    write(this.#sets);
    this.#draw();
    tell(`Deleted “${name}”.`);
    const next = find("sets").children[place] ?? find("sets").lastChild;
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
          this.#use(this.#sets[name]);
          tell(`These are the labels of “${name}”.`);
        },
      }, name),
      make("button", {
        type: "button", "aria-label": `Delete ${name}`, onclick: () => this.#remove(name),
      }, "×"))));
  }
}

const tell = (text) => { find("sets-note").textContent = text; };

/** The sets that the browser keeps; null where it keeps none, or something else. */
function read() {
  try {
    const sets = JSON.parse(localStorage.getItem(NAME)) ?? {};
    return Object.fromEntries(Object.entries(sets).filter(([, set]) =>
      typeof set?.labels === "object" && set.labels && Object.values(set.labels).every(
        (words) => typeof words === "string")));
  } catch {
    return null;
  }
}

function write(sets) {
  try {
    localStorage.setItem(NAME, JSON.stringify(sets));
    return true;
  } catch {
    return false;
  }
}

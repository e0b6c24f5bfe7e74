/** A dialog that edits the selected sounds at once. */

import { isAbort } from "../lib/api.js";
import { editClips } from "../lib/curation-api.js";
import { make, showError } from "../lib/dom.js";
import { count, hyphenated, splitList } from "../lib/format.js";
import { withKey } from "./api-key-form.js";
import { onceAtATime } from "./dialogs.js";

/** @import { BulkEdit } from "../lib/curation-api.js" */

/** Fields that are set, and their labels. */
const FIELDS = [["licence", "Licence"], ["author", "Author"], ["source", "Source"], ["description", "Description"]];

/**
 * Ask how to edit sounds, and do it.
 *
 * @param {number} size how many sounds
 * @param {Pick<BulkEdit, "ids" | "where">} which
 * @param {(text: string, number: number | null) => void} done what was done, and its number
 */
export function editMany(size, which, done) {
  const problem = make("div", { role: "alert" });
  const added = tagInput();
  const removed = tagInput();
  const fields = FIELDS.map(([name, label]) => settable(name, label));
  const save = async () => {
    /** @type {BulkEdit} */
    const body = { ...which, add_tags: tagsOf(added), remove_tags: tagsOf(removed) };
    body.set = Object.fromEntries(fields.filter(({ set }) => set.checked)
      .map(({ name, input }) => [name, input.value.trim()]));
    if (!body.add_tags?.length && !body.remove_tags?.length && !Object.keys(body.set).length) {
      problem.replaceChildren(make("p", { class: "notice" }, "Say what to change."));
      return;
    }
    try {
      const { changed, unchanged, number } = await withKey(problem, () => editClips(body));
      dialog.close();
      const rest = unchanged ? `, ${count(unchanged, "sound")} was so already` : "";
      done(`${count(changed, "sound")} changed${rest.replace("sounds was", "sounds were")}.`, number);
    } catch (error) {
      if (!isAbort(error)) showError(problem, error, save);
    }
  };
  /** @type {HTMLDialogElement} */
  const dialog = make("dialog", { class: "form", "aria-labelledby": "edit-many-title", onclose: () => dialog.remove() },
    make("form", { autocomplete: "off", onsubmit: onceAtATime(save) },
      make("h2", { id: "edit-many-title" }, `Edit ${count(size, "sound")}`),
      make("label", {}, "Add tags, comma-separated", added),
      make("label", {}, "Remove tags", removed),
      ...fields.map(({ node }) => node),
      problem,
      make("div", { class: "row" },
        make("button", { class: "plain strong" }, `Change ${count(size, "sound")}`),
        make("button", { type: "button", class: "plain", onclick: () => dialog.close() }, "Cancel"))));
  document.body.append(dialog);
  dialog.showModal();
}

const tagInput = () => make("input", { class: "field", spellcheck: "false", autocapitalize: "none" });

/** @param {HTMLInputElement} input */
const tagsOf = (input) => splitList(input.value).map(hyphenated);

/** A field with a checkbox: only what is ticked is set, also to nothing. @param {string} name @param {string} label */
function settable(name, label) {
  const set = make("input", { type: "checkbox", "aria-label": `Set the ${label.toLowerCase()}` });
  const input = make("input", {
    class: "field", "aria-label": label, ...(name === "licence" && { list: "licences" }),
    oninput: () => { set.checked = true; },
  });
  return { name, set, input, node: make("div", { class: "settable" }, set, make("span", {}, label), input) };
}

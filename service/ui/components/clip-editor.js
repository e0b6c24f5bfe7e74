/** A form in place of a result, to edit its metadata. */

import { ServiceError, isAbort } from "../lib/api.js";
import { editClip, getEditable, getHistory } from "../lib/curation-api.js";
import { make, showError } from "../lib/dom.js";
import { dateAndTime, editName, hyphenated, splitList } from "../lib/format.js";
import { withKey } from "./api-key-form.js";
import { onceAtATime } from "./dialogs.js";

/** @import { Clip } from "../lib/api.js" */
/** @import { ClipChange } from "../lib/curation-api.js" */

/** Name, label, and attributes of each field.
 * @type {[keyof Clip & string, string, Record<string, any>][]} */
const FIELDS = [
  ["title", "Title", { maxlength: 1000 }],
  ["tags", "Tags, comma-separated", { spellcheck: "false", autocapitalize: "none" }],
  ["description", "Description", { rows: 3, maxlength: 20_000 }],
  ["author", "Author", { maxlength: 1000 }],
  ["source", "Source (a collection or web address)", { maxlength: 1000 }],
  ["licence", "Licence", { maxlength: 1000, list: "licences", placeholder: "CC0-1.0" }],
  ["recorded", "Recorded", { maxlength: 40, placeholder: "2026-05-31" }],
];
const WIDE = new Set(["title", "tags", "description"]);

/**
 * Edit a clip in its list item; `done` gets the changed clip, or null where nothing was changed.
 *
 * @param {HTMLElement} item
 * @param {string} id
 * @param {(changed: Clip | null) => void} done
 */
export async function editInPlace(item, id, done) {
  const open = item.querySelector(".editor");
  if (open) return open.querySelector("input")?.focus();
  const problem = make("div", { role: "alert" });
  const place = make("div", { class: "editor" }, problem);
  item.append(place);
  try {
    const { clip, tag } = await withKey(problem, () => getEditable(id));
    place.replaceChildren(form(clip, tag, place, done));
    place.querySelector("input")?.focus();
  } catch (error) {
    if (isAbort(error)) place.remove();
    else showError(problem, error, () => (place.remove(), editInPlace(item, id, done)));
  }
}

/** @param {Clip} clip @param {string} tag of its state @param {HTMLElement} place
 * @param {(changed: Clip | null) => void} done */
function form(clip, tag, place, done) {
  const problem = make("div", { role: "alert" });
  const inputs = FIELDS.map(([name, , attributes]) => {
    const input = make(name === "description" ? "textarea" : "input",
      { ...attributes, class: "field" });
    input.value = textOf(clip, name);
    return input;
  });
  const before = inputs.map(({ value }) => value); // as the browser has it: one kind of line breaks
  const changes = () => changesOf(before, inputs.map(({ value }) => value));
  const close = (/** @type {Clip | null} */ changed) => {
    place.remove();
    done(changed);
  };
  let state = tag;
  const save = async () => {
    const changed = changes();
    if (!Object.keys(changed).length) return close(null);
    try {
      close(await withKey(problem, () => editClip(clip.id, changed, state)));
    } catch (error) {
      if (error instanceof ServiceError && error.status === 412) await tellConflict();
      else if (!isAbort(error)) showError(problem, error, save);
    }
  };
  const tellConflict = async () => {
    try {
      state = await showConflict(problem, clip);
    } catch (error) {
      if (!isAbort(error)) showError(problem, error, tellConflict);
    }
  };
  let mayLeave = false; // Escape was pressed once
  const leave = () => {
    if (mayLeave || !Object.keys(changes()).length) return close(null);
    mayLeave = true;
    problem.replaceChildren(make("p", { class: "notice" }, "Your changes are not saved. Press Escape again to drop them."));
  };
  return make("form", {
    autocomplete: "off", "aria-label": `Edit ${clip.title}`, onsubmit: onceAtATime(save),
    onkeydown: (/** @type {KeyboardEvent} */ event) => {
      if (event.key === "Escape" && !event.isComposing) leave();
    },
    oninput: () => { mayLeave = false; },
  },
  ...FIELDS.map(([name, label], row) => make("label", { class: WIDE.has(name) && "wide" }, label, inputs[row])),
  problem,
  make("div", { class: "row" },
    make("button", { class: "plain strong" }, "Save"),
    make("button", { type: "button", class: "plain", onclick: () => close(null) }, "Cancel")),
  history(clip.id));
}

/** What was changed when, read once it is opened. @param {string} id */
function history(id) {
  const list = make("ol", { class: "history" });
  const problem = make("div");
  const details = make("details", { class: "wide" }, make("summary", {}, "History"), list, problem);
  let isRead = false;
  const read = async () => {
    if (isRead) return;
    isRead = true;
    try {
      const { added_at: added, changes } = await getHistory(id);
      problem.replaceChildren();
      list.replaceChildren(...changes.map(changeItem), make("li", {}, `${dateAndTime(added)}: added`));
    } catch (error) {
      isRead = false;
      showError(problem, error, read);
    }
  };
  details.addEventListener("toggle", read);
  return details;
}

/** @param {ClipChange} change */
function changeItem({ made_at: at, made_by: by, means, before, after }) {
  const shown = (/** @type {string | string[] | undefined} */ value) => (Array.isArray(value) ? value.join(", ") : value) || "(empty)";
  return make("li", {}, editName({ made_at: at, made_by: by, means }),
    make("ul", {}, ...Object.keys(after).map((name) => make("li", {},
      `${name}: `, make("del", {}, shown(before[name])), " → ", make("ins", {}, shown(after[name]))))));
}

/** Say what another has changed meanwhile; the user may save over it. Returns the newer state.
 * @param {HTMLElement} problem @param {Clip} before */
async function showConflict(problem, before) {
  const { clip, tag } = await getEditable(before.id);
  const theirs = FIELDS.filter(([name]) => textOf(clip, name) !== textOf(before, name));
  problem.replaceChildren(make("div", { class: "notice" },
    make("p", {}, "Someone else has changed this sound meanwhile. Save again to keep your changes; only the "
      + "fields that you have changed are saved."),
    make("dl", {}, ...theirs.flatMap(([name, label]) => [
      make("dt", {}, label), make("dd", {}, textOf(clip, name) || "(empty)")]))));
  return tag;
}

/** @param {Clip} clip @param {keyof Clip & string} name */
const textOf = (clip, name) => (name === "tags" ? clip.tags.join(", ") : String(clip[name] ?? ""));

/** The fields whose text differs. @param {string[]} before @param {string[]} texts */
function changesOf(before, texts) {
  const changed = FIELDS.map(([name], place) => /** @type {const} */ ([name, texts[place], before[place]]))
    .filter(([, text, old]) => text.trim() !== old.trim());
  return Object.fromEntries(changed.map(([name, text]) => [
    name, name === "tags" ? splitList(text).map(hyphenated) : text.trim()]));
}

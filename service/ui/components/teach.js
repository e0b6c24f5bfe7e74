/**
 * Teaching a sound. While one is taught, each result has the buttons "this is it" and "this is not",
 * in its ranking, among what it asks for, and in any search.
 */

import { isAbort } from "../lib/api.js";
import {
  classifierFile, deleteClassifier, editClassifier, getClassifier, getClassifiers, getLabels,
  postClassifier, postLabels,
} from "../lib/curation-api.js";
import { find, make, showError } from "../lib/dom.js";
import { clockRange, count, percent } from "../lib/format.js";
import { SendQueue } from "../lib/send-queue.js";
import { readText, writeText } from "../lib/storage.js";
import { withKey } from "./api-key-form.js";
import { confirmIn, showDialog } from "./dialogs.js";
import * as notice from "./notice-bar.js";

/** @import { Hit } from "../lib/api.js" */
/** @import { Classifier, Label } from "../lib/curation-api.js" */
/** @import { Query } from "../lib/query.js" */
/** @import { Span } from "../lib/span.js" */

const STORED_AS = "teaching"; // the id of what is taught in this tab
/** @typedef {{id: string, label: Label, problem: HTMLElement}} Waiting */

const ENOUGH = 5; // labels of each kind, from which it can say how good it is

let id = readText("sessionStorage", STORED_AS) ?? "";
/** @type {Classifier | null} */
let taught = null;
/** @type {Map<string, boolean>} */
let labels = new Map(); // whether it is the sound, by clip
let asked = false; // whether what is shown is what it asks for
/** @type {(address: string) => void} */
let go = () => {};
/** @type {() => void} */
let changed = () => {};

/** @type {SendQueue<Waiting>} */
const queue = new SendQueue(post, (unsaved) => unsaved === 0 && changed());

/** @param {(address: string) => void} goTo @param {() => void} onChange called when what is taught has changed */
export function start(goTo, onChange) {
  [go, changed] = [goTo, onChange];
  find("teach").addEventListener("click", choose);
}

/** The sound that is taught, once it is read. */
export const current = () => taught;

/** Show what is taught: that of the query, or in other searches the one before.
 * @param {Query} query */
export async function show(query) {
  const wanted = query.taught || id;
  asked = query.asked !== "";
  if (wanted === id && taught) return draw(query);
  [id, taught, labels] = [wanted, null, new Map()];
  writeText("sessionStorage", STORED_AS, id);
  find("teaching").hidden = !id;
  if (!id) return;
  try {
    const [found, known] = await Promise.all([getClassifier(id), getLabels(id)]);
    if (wanted !== id) return;
    taught = found;
    labels = new Map(known.labels.map(({ clip, is }) => [clip, is === true]));
    draw(query);
    changed();
  } catch (error) {
    if (isAbort(error)) return;
    if (query.taught) showError(find("teaching"), error, () => show(query));
    else stop(); // it has been deleted
  }
}

/** Teach no sound any more. */
function stop() {
  [id, taught] = ["", null];
  writeText("sessionStorage", STORED_AS, "");
  find("teaching").hidden = true;
  changed();
}

/** @param {Query} query */
function draw(query) {
  if (!taught) return;
  const { name, positives, negatives, average_precision: precision } = taught;
  const problem = make("div", { role: "alert" });
  const link = (/** @type {Record<string, string>} */ search, /** @type {string} */ text, isHere = false) =>
    make("a", { "data-go": true, href: `?${new URLSearchParams(search)}`, ...(isHere && { "aria-current": "page" }) }, text);
  const need = Math.max(0, ENOUGH - Math.min(positives, negatives));
  const bar = find("teaching");
  bar.hidden = false;
  bar.replaceChildren(
    make("p", {}, make("strong", {}, `Teaching “${name}”: `),
      `${positives} yes, ${negatives} no. `,
      precision == null ? need ? `From ${ENOUGH} of each on it says how good it is.` : ""
        : `Average precision on labels left out: ${percent(precision)}.`),
    make("p", { class: "actions" },
      link({ taught: id, asked: "true" }, "What it asks", query.taught === id && asked),
      link({ taught: id }, "Ranking", query.taught === id && !asked),
      link({ classifier: id }, "What it says yes to"),
      make("button", { type: "button", class: "link", onclick: rename }, "Rename…"),
      make("a", { href: classifierFile(id), download: true }, "Export"),
      make("button", { type: "button", class: "link", onclick: () => confirmDelete(problem) }, "Delete…"),
      make("button", { type: "button", class: "link", onclick: stop }, "Stop teaching")),
    problem);
}

/** The buttons of a result; null where nothing is taught.
 * @param {Hit} hit @param {() => Span | null} selectedPart @param {HTMLElement} problem */
export function buttons(hit, selectedPart, problem) {
  if (!taught) return null;
  const group = make("span", { class: "decisions", role: "group", "aria-label": `Is this “${taught.name}”?` });
  const redraw = () => group.replaceChildren(...[true, false].map((value) => make("button", {
    type: "button", class: `decide ${value ? "accepted this-is-it" : "rejected this-is-not"}`,
    "aria-pressed": String(labels.get(hit.id) === value), title: value ? "This is it" : "This is not",
    "aria-label": `${value ? "This is it" : "This is not"}: ${hit.title}${momentText(hit, selectedPart)}`,
    onclick: () => give(value),
  })));
  const give = (/** @type {boolean} */ value) => {
    const is = labels.get(hit.id) === value ? null : value;
    if (is === null) labels.delete(hit.id);
    else labels.set(hit.id, is);
    redraw();
    const button = group.querySelector(value ? ".this-is-it" : ".this-is-not");
    if (button instanceof HTMLElement) button.focus();
    send([{ clip: hit.id, is, ...momentOf(hit, selectedPart) }], problem);
  };
  redraw();
  return group;
}

/** @param {Label[]} given @param {HTMLElement} problem */
async function send(given, problem) {
  try {
    await queue.add(given.map((label) => ({ id, label, problem })));
    problem.replaceChildren();
  } catch (error) {
    if (!isAbort(error)) showError(problem, error, () => send([], problem));
  }
}

/** @param {Waiting[]} waiting labels, of which the first ones are of one sound */
async function post(waiting) {
  const [{ id: of, problem }] = waiting;
  const given = waiting.filter((one) => one.id === of).map(({ label }) => label);
  const found = await withKey(problem, () => postLabels(of, given));
  if (of === id) taught = found;
}

/** What a label is of: the selected part, else the best moment of a long sound, else all of it.
 * @param {Hit} hit @param {() => Span | null} selectedPart @returns {Partial<Span>} */
function momentOf({ moments = [] }, selectedPart) {
  const part = selectedPart() ?? moments[0];
  return part ? { start: part.start, end: part.end } : {};
}

/** @param {Hit} hit @param {() => Span | null} selectedPart */
function momentText(hit, selectedPart) {
  const { start: from, end } = momentOf(hit, selectedPart);
  return from === undefined || end === undefined ? "" : `, ${clockRange({ start: from, end })}`;
}

/** Whether all of these have a label that is kept. @param {Hit[]} hits */
export const areLabelled = (hits) => queue.unsaved === 0 && hits.every(({ id: clip }) => labels.has(clip));

// Beginning, naming and deleting

/** Choose what to teach: a new sound, or one that was taught before. */
async function choose() {
  const problem = make("div", { role: "alert" });
  const list = make("ul", { class: "choices", "aria-label": "Taught sounds" });
  const input = make("input", { class: "field", id: "taught-name", maxlength: 100, required: true, placeholder: "our front door" });
  input.value = find("query", HTMLInputElement).value.trim();
  const create = async (/** @type {Event} */ event) => {
    event.preventDefault();
    try {
      const made = await withKey(problem, () => postClassifier({ name: input.value.trim() }));
      open(made.id);
    } catch (error) {
      if (!isAbort(error)) showError(problem, error, () => create(event));
    }
  };
  const open = (/** @type {string} */ chosen) => {
    dialog.close();
    [taught, id] = [null, ""];
    go(`?${new URLSearchParams({ taught: chosen, asked: "true" })}`);
  };
  const dialog = showDialog("Teach a sound",
    make("p", { class: "quiet" }, "Name it, then say of some sounds whether they are it. From five of each kind on the "
      + "library is ranked by what you taught, better with each label."),
    make("form", { class: "row", autocomplete: "off", onsubmit: create },
      make("label", { class: "unseen", for: "taught-name" }, "Name of the sound"), input,
      make("button", { class: "plain strong" }, "Teach it")),
    problem, list);
  input.select();
  try {
    const { classifiers } = await getClassifiers();
    list.replaceChildren(...classifiers.map((one) => make("li", {},
      make("button", { type: "button", class: "plain", onclick: () => open(one.id) }, one.name,
        make("span", { class: "times" }, count(one.positives + one.negatives, "label"))))));
  } catch (error) {
    showError(problem, error, () => (dialog.close(), choose()));
  }
}

function rename() {
  if (!taught) return;
  const problem = make("div", { role: "alert" });
  const [name, tag] = [["taught-new-name", taught.name], ["taught-tag", taught.tag]].map(([key, value]) =>
    Object.assign(make("input", { class: "field", id: key, maxlength: 100, required: true }), { value }));
  const save = async (/** @type {Event} */ event) => {
    event.preventDefault();
    try {
      taught = await withKey(problem, () => editClassifier(id, { name: name.value.trim(), tag: tag.value.trim() }));
      dialog.close();
      changed();
    } catch (error) {
      if (!isAbort(error)) showError(problem, error, () => save(event));
    }
  };
  const dialog = showDialog("Rename the sound", make("form", { autocomplete: "off", onsubmit: save },
    make("label", { for: "taught-new-name" }, "Name"), name,
    make("label", { for: "taught-tag" }, "Tag that it suggests"), tag, problem,
    make("button", { class: "plain strong" }, "Save")));
  name.select();
}

/** @param {HTMLElement} problem */
function confirmDelete(problem) {
  const [{ name } = { name: "" }, wanted] = [taught ?? undefined, id];
  confirmIn(problem, `Delete “${name}” and what was said of it? Tags that it suggested stay.`, async () => {
    await withKey(problem, () => deleteClassifier(wanted));
    stop();
    notice.tell(`“${name}” deleted.`);
    go("./");
  });
}

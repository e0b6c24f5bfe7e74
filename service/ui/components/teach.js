/**
 * Teaching a sound. While one is taught, each result has the buttons "this is it" and "this is not",
 * in its ranking, among what it asks for, and in any search.
 */

import { ServiceError, isAbort } from "../lib/api.js";
import {
  classifierFile, deleteClassifier, editClassifier, getClassifier, getClassifiers, getLabels,
  postClassifier, postLabels,
} from "../lib/curation-api.js";
import { find, focused, make, showError } from "../lib/dom.js";
import { clockRange, count, percent } from "../lib/format.js";
import { SendQueue } from "../lib/send-queue.js";
import { readText, writeText } from "../lib/storage.js";
import { withKey } from "./api-key-form.js";
import { confirmIn, onceAtATime, showDialog } from "./dialogs.js";
import * as notice from "./notice-bar.js";

/** @import { Hit } from "../lib/api.js" */
/** @import { Classifier, Label } from "../lib/curation-api.js" */
/** @import { Query } from "../lib/query.js" */
/** @import { Span } from "../lib/span.js" */

const STORED_AS = "teaching"; // the id of what is taught in this tab
/** @typedef {{id: string, label: Label, problem: HTMLElement}} Waiting */

const VALUES = [true, false]; // it is the sound, it is not
const ENOUGH = 5; // labels of each kind, from which it can say how good it is

let id = readText("sessionStorage", STORED_AS) ?? "";
/** @type {Classifier | null} */
let taught = null;
/** @type {Map<string, Label[]>} */
let labels = new Map(); // by clip, the last first
let [isOwn, asked] = [false, false]; // whether its ranking is shown, and what it asks for
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
  addEventListener("beforeunload", (event) => {
    if (queue.unsaved) event.preventDefault(); // the browser asks
  });
}

/** The sound that is taught, once it is read. */
export const current = () => taught;

/** Show what is taught: that of the query, or in other searches the one before.
 * @param {Query} query */
export async function show(query) {
  const wanted = query.taught || id;
  [isOwn, asked] = [query.taught !== "", query.asked !== ""];
  if (wanted === id && taught) return draw(query);
  [id, taught, labels] = [wanted, null, new Map()];
  writeText("sessionStorage", STORED_AS, id);
  find("teaching").hidden = !id;
  if (!id) return;
  try {
    const [found, known] = await Promise.all([getClassifier(id), getLabels(id)]);
    if (wanted !== id) return;
    taught = found;
    labels = Map.groupBy(known.labels, ({ clip }) => clip);
    draw(query);
    changed();
  } catch (error) {
    if (wanted !== id || isAbort(error)) return;
    if (query.taught || !(error instanceof ServiceError && error.status === 404)) {
      showError(find("teaching"), error, () => show(query));
    } else stop(); // it has been deleted
  }
}

function forget() {
  [id, taught] = ["", null];
  writeText("sessionStorage", STORED_AS, "");
  find("teaching").hidden = true;
}

/** Teach no sound any more. */
function stop() {
  const [own, hadFocus] = [isOwn, find("teaching").contains(focused())];
  forget();
  if (own) go("./");
  else changed();
  if (hadFocus) find(own ? "query" : "teach").focus();
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
  const update = () => both.forEach((button, place) => {
    button.setAttribute("aria-pressed", String(labelsOf(hit.id).some(({ is }) => is === VALUES[place])));
    button.setAttribute("aria-label", `${button.title}: ${hit.title}${momentText(hit, selectedPart)}`);
  });
  const both = VALUES.map((value) => make("button", {
    type: "button", class: `decide ${value ? "accepted this-is-it" : "rejected this-is-not"}`,
    title: value ? "This is it" : "This is not", onfocus: () => update(), // another part may be selected
    onclick: () => {
      const given = decide(hit, value, selectedPart());
      update();
      send(given, problem);
    },
  }));
  update();
  return make("span", { class: "decisions", role: "group", "aria-label": `Is this “${taught.name}”?` }, ...both);
}

/** @param {string} clip */
const labelsOf = (clip) => labels.get(clip) ?? [];

/** Give a label, or take it back where it is given already; returns what is to be kept.
 * @param {Hit} hit @param {boolean} value @param {Span | null} part that is selected @returns {Label[]} */
function decide(hit, value, part) {
  const label = { clip: hit.id, is: value, ...momentOf(hit, () => part) };
  const known = labelsOf(hit.id);
  const again = known.filter((one) => one.is === value && (!part || isSame(one, label)));
  const against = known.filter((one) => one.is !== value && overlap(one, label)); // it cannot be both
  const old = again.length ? again : against;
  labels.set(hit.id, [...(again.length ? [] : [label]), ...known.filter((one) => !old.includes(one))]);
  const back = old.map(({ clip, start: from, end }) => ({ clip, is: null, start: from, end }));
  return again.length ? back : [...back, label];
}

/** Whether two labels are of one stretch. @param {Label} one @param {Label} other */
const isSame = (one, other) => [[one.start, other.start], [one.end, other.end]]
  .every(([a, b]) => Math.abs((a ?? 0) - (b ?? 0)) < 0.002); // the service rounds

/** Whether two labels share a stretch; one without times is of the whole. @param {Label} one @param {Label} other */
const overlap = (one, other) => (one.start ?? 0) < (other.end ?? Infinity) && (other.start ?? 0) < (one.end ?? Infinity);

/** @param {Label[]} given @param {HTMLElement} problem */
async function send(given, problem) {
  try {
    await queue.add(given.map((label) => ({ id, label, problem })));
    problem.replaceChildren();
  } catch (error) {
    const shown = isAbort(error) ? new ServiceError(`${count(queue.unsaved, "label")} not saved yet.`, "", true) : error;
    showError(problem, shown, () => send([], problem));
  }
}

/** @param {Waiting[]} waiting labels, perhaps of several taught sounds */
async function post(waiting) {
  for (const [of, own] of Map.groupBy(waiting, (one) => one.id)) {
    const found = await withKey(own[0].problem, () => postLabels(of, own.map(({ label }) => label)));
    if (of === id) taught = found;
  }
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
export const areLabelled = (hits) => queue.unsaved === 0 && hits.every(({ id: clip }) => labelsOf(clip).length);

// Beginning, naming and deleting

/** Choose what to teach: a new sound, or one that was taught before. */
async function choose() {
  const problem = make("div", { role: "alert" });
  const list = make("ul", { class: "choices", "aria-label": "Taught sounds" });
  const input = make("input", { class: "field", id: "taught-name", maxlength: 100, required: true, placeholder: "our front door" });
  input.value = find("query", HTMLInputElement).value.trim();
  const create = async () => {
    try {
      const made = await withKey(problem, () => postClassifier({ name: input.value.trim() }));
      open(made.id);
    } catch (error) {
      if (!isAbort(error)) showError(problem, error, create);
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
    make("form", { class: "row", autocomplete: "off", onsubmit: onceAtATime(create) },
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
  const save = async () => {
    try {
      taught = await withKey(problem, () => editClassifier(id, { name: name.value.trim(), tag: tag.value.trim() }));
      dialog.close();
      changed();
    } catch (error) {
      if (!isAbort(error)) showError(problem, error, save);
    }
  };
  const dialog = showDialog("Rename the sound", make("form", { autocomplete: "off", onsubmit: onceAtATime(save) },
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
    forget();
    notice.tell(`“${name}” deleted.`);
    go("./");
  });
}

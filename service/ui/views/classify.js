/** The classify view: how likely each of the user's labels is for a sound. */

import { withKey } from "../components/api-key-form.js";
import { copyButton } from "../components/copy-button.js";
import { LabelList } from "../components/label-list.js";
import { LabelSets } from "../components/label-sets.js";
import * as picker from "../components/sound-picker.js";
import { Uploader } from "../components/upload-progress.js";
import { ServiceError, isAbort } from "../lib/api.js";
import { find, findInput, make, meter, showError } from "../lib/dom.js";
import { percent } from "../lib/format.js";

/** @import { Classification } from "../lib/api.js" */
/** @import { PickedSound } from "../components/sound-picker.js" */

const QUICK_MS = 2500; // answers that took less are repeated without a click
const PAUSE_MS = 600; // after the last change

const uploader = new Uploader(find("classify-progress"));
/** @type {LabelList} */
let labels;
let requested = ""; // the labels and the mode whose result is shown or awaited
/** @type {PickedSound | null} */
let classified = null; // the sound of the result
/** @type {Classification | null} */
let result = null;
let elapsed = 0; // ms, of the last answer
let timer = 0;

export const title = "Classify a sound";
export const focus = () => (picker.currentSound() ? "label" : "file");

export function start() {
  labels = new LabelList(update);
  const multiple = findInput("multiple");
  new LabelSets(
    () => (labels.names.length ? { labels: labels.all, multiple: multiple.checked } : null),
    (set) => {
      multiple.checked = Boolean(set.multiple);
      labels.all = set.labels;
    });
  picker.onSound(() => {
    elapsed = 0;
    update();
  });
  multiple.addEventListener("change", update);
  find("classify-form").addEventListener("submit", (event) => {
    event.preventDefault();
    labels.readBox();
    classify();
  });
  find("classes-copy").append(copyButton("Copy as JSON", () => JSON.stringify({
    sound: classified?.file.name, multiple: multiple.checked, classes: result?.classes,
  }, null, 2)));
}

export function show() {
  picker.showIn(find("classify-sound"));
  update();
}

export const hide = picker.hide;

/** What is missing for a result, as a request to the user. */
function missing() {
  if (!picker.currentSound()) return "Choose a sound first.";
  const least = findInput("multiple").checked ? 1 : 2;
  if (labels.names.length >= least) return "";
  return least === 1 ? "Enter at least one label." : "Enter at least two labels.";
}

const request = () => JSON.stringify([labels.parameters, findInput("multiple").checked]);

/** The labels, the mode or the sound have changed: classify again, at once where that is quick. */
function update() {
  clearTimeout(timer);
  if (find("classify").hidden) return;
  if (requested === request() && classified === picker.currentSound()) return;
  uploader.cancel();
  requested = "";
  find("result").setAttribute("aria-busy", "true");
  if (missing()) return showNote("");
  if (elapsed < QUICK_MS) timer = setTimeout(classify, PAUSE_MS);
  else showNote("Press Classify to update the result.");
}

async function classify() {
  clearTimeout(timer);
  const problems = find("classify-problem");
  problems.replaceChildren();
  const sound = picker.currentSound();
  if (!sound || missing()) {
    find(sound ? "label" : "file").focus();
    return showNote(missing());
  }
  const sent = (requested = request());
  const multiple = findInput("multiple").checked;
  const begin = performance.now();
  try {
    const answer = await withKey(problems, () => uploader.send("v1/classify", sound,
      { ...labels.parameters, multiple }, () => showNote("Analysing…")));
    elapsed = performance.now() - begin;
    classified = sound;
    showResult(answer, multiple);
  } catch (error) {
    if (sent !== requested || sound !== picker.currentSound()) return;
    requested = "";
    showNote(isAbort(error) ? "Cancelled. Press Classify to try again." : "");
    if (!isAbort(error)) showError(problems, explainUnknown(error), classify);
  }
}

/** @param {Classification} answer @param {boolean} multiple */
function showResult(answer, multiple) {
  result = answer;
  find("classes").replaceChildren(...answer.classes.map(({ label, probability }) => {
    const text = percent(probability);
    return make("li", {}, make("span", { class: "label" }, label), meter(probability, text, label),
      make("span", { class: "number" }, text));
  }));
  find("result").hidden = false;
  find("result").removeAttribute("aria-busy");
  const parts = [multiple ? "Each label is scored by itself" : `Most likely: ${answer.classes[0].label}`];
  if (answer.ignored.length) parts.push(`Ignored: ${answer.ignored.join(", ")}`);
  showNote(`${[...parts, ...answer.notes].join(". ")}.`);
}

/** @param {string} text */
const showNote = (text) => { find("classify-note").textContent = text; };

/** A label that the model does not know can be described in other words. @param {unknown} error */
function explainUnknown(error) {
  if (!(error instanceof ServiceError)) return error;
  const [, label] = /not understood: ['"](.*)['"]$/.exec(error.detail) ?? [];
  if (!label) return error;
  find("describe", HTMLDetailsElement).open = true;
  return new ServiceError(`The model does not know “${label}”.`,
    "Describe it in other words below, or remove it.");
}

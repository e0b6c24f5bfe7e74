/** A sound → how likely each label of one's own is. */

import { copyButton } from "../components/copy-button.js";
import { bar, complain, find, make, percent } from "../lib/dom.js";
import { withKey } from "../components/api-key.js";
import { Labels } from "../components/label-list.js";
import { Listener } from "../lib/upload.js";
import { Sets } from "../components/label-sets.js";
import * as sound from "../components/sound-picker.js";

const QUICK_MS = 2500; // sounds heard within this are heard again by themselves
const PAUSE_MS = 600;

const listener = new Listener(find("classify-progress"));
let labels;
let judged = ""; // what the results shown, or awaited, are of
let heard = null; // the sound they are of
let answer = null;
let took = 0; // milliseconds
let timer = 0;

export const title = "Classify a sound";
export const focus = () => (sound.current() ? "label" : "file");

export function start() {
  labels = new Labels(changed);
  new Sets(
    () => labels.names.length > 0 && { labels: labels.all, multiple: find("multiple").checked },
    (set) => {
      find("multiple").checked = Boolean(set.multiple);
      labels.all = set.labels;
    });
  sound.onSound(() => {
    took = 0;
    changed();
  });
  find("multiple").addEventListener("change", changed);
  find("own").addEventListener("submit", (event) => {
    event.preventDefault();
    labels.typed();
    compare();
  });
  find("classes-copy").append(copyButton("Copy as JSON", () => JSON.stringify({
    sound: heard.file.name, multiple: find("multiple").checked, classes: answer.classes,
  }, null, 2)));
}

export function show() {
  sound.showIn(find("classify-sound"));
  changed();
}

export const hide = sound.leave;

/** Why there is nothing to compare yet. */
function missing() {
  if (!sound.current()) return "Choose a sound first.";
  const least = find("multiple").checked ? 1 : 2;
  if (labels.names.length >= least) return "";
  return least === 1 ? "At least one label, please." : "At least two labels, please.";
}

const question = () => JSON.stringify([labels.fields, find("multiple").checked]);

/** Other labels, or another sound: compared at once where that is quick. */
function changed() {
  clearTimeout(timer);
  if (find("classify").hidden) return;
  if (judged === question() && heard === sound.current()) return;
  listener.stop();
  judged = "";
  find("result").setAttribute("aria-busy", "true");
  if (missing()) return note("");
  if (took < QUICK_MS) timer = setTimeout(compare, PAUSE_MS);
  else note("Press Compare to hear the sound again.");
}

async function compare() {
  clearTimeout(timer);
  find("own-problem").replaceChildren();
  if (missing()) {
    find(sound.current() ? "label" : "file").focus();
    return note(missing());
  }
  const of = sound.current();
  const asked = (judged = question());
  const multiple = find("multiple").checked;
  const begun = performance.now();
  try {
    const found = await withKey(find("own-problem"), () => listener.ask("/v1/classify", of,
      { ...labels.fields, multiple }, () => note("Listening…")));
    took = performance.now() - begun;
    heard = of;
    showClasses(found, multiple);
  } catch (error) {
    if (asked !== judged || of !== sound.current()) return;
    judged = "";
    note(error.name === "AbortError" ? "Stopped. Press Compare to go on." : "");
    if (error.name !== "AbortError") complain(find("own-problem"), kinder(error), compare);
  }
}

function showClasses(found, multiple) {
  answer = found;
  find("classes").replaceChildren(...found.classes.map(({ label, probability }) => {
    const text = percent(probability);
    return make("li", {}, make("span", { class: "label" }, label), bar(probability, text, label),
      make("span", { class: "number" }, text));
  }));
  find("result").hidden = false;
  find("result").removeAttribute("aria-busy");
  const [best] = found.classes;
  const first = multiple ? "Each by itself" : `Most likely: ${best.label}`;
  note(first + (found.ignored.length ? `. Not used: ${found.ignored.join(", ")}.` : "."));
}

const note = (text) => { find("own-note").textContent = text; };

/** A label that the model has no word for can be described in others. */
function kinder(error) {
  const [, label] = /not understood: ['"](.*)['"]$/.exec(error.detail ?? "") ?? [];
  if (!label) return error;
  find("describe").open = true;
  return {
    message: `The model does not know “${label}”.`,
    detail: "Describe it in other words below, or remove it.",
  };
}

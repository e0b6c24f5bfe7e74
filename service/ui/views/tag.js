/** The tag view: suggested tags of a sound, the user's choices, and what to do with them. */

import { withKey } from "../components/api-key-form.js";
import { copyButton } from "../components/copy-button.js";
import * as feedback from "../components/feedback-form.js";
import * as similar from "../components/similar-sounds.js";
import * as picker from "../components/sound-picker.js";
import { TagList } from "../components/tag-list.js";
import { Uploader } from "../components/upload-progress.js";
import { getModel, isAbort } from "../lib/api.js";
import { find, focused, make, showError } from "../lib/dom.js";
import { count } from "../lib/format.js";

/** @import { Tagging } from "../lib/api.js" */
/** @import { PickedSound } from "../components/sound-picker.js" */

const MAX_TAGS = 40; // read: the lists show the best of them
const QUICK_MS = 2500; // answers that took less are updated without a click
const PAUSE_MS = 500; // after the last choice
const MAX_KNOWN = 50; // accepted tags that the service takes

const uploader = new Uploader(find("tag-progress"));
/** @type {TagList} */
let tags;
/** @type {Tagging | null} */
let unconditioned = null; // the suggestions without accepted tags
/** @type {PickedSound | null} */
let tagged = null; // the sound of the suggestions
let elapsed = 0; // ms, of the first suggestions
let conditionedOn = ""; // the accepted tags of the suggestions that are shown
let timer = 0;

export const title = "Tag a sound";
export const focus = "file";

/** @param {(address: string) => void} go leads to an address of the page */
export function start(go) {
  picker.start(go);
  picker.onSound(tagCurrent);
  tags = new TagList(update);
  feedback.start(tags);
  similar.start();
  find("copies").append(
    copyButton("Copy as text", () => tags.copyable.join(", ")),
    copyButton("Copy as JSON", () => JSON.stringify(
      { sound: tagged?.file.name, duration: tagged?.player.duration, tags: tags.report() }, null, 2)));
  find("update-suggestions").addEventListener("click", condition);
  find("less-likely", HTMLDetailsElement).open = matchMedia("(min-width: 40rem)").matches; // phones scroll far
}

export function show() {
  picker.showIn(find("tag-sound"));
  tagCurrent();
  offerVocabulary();
}

export const hide = picker.hide;

/** Tag the picked sound, unless it is tagged, or the view is hidden: then it is once that is shown. */
function tagCurrent() {
  const sound = picker.currentSound();
  if (!sound || find("tag").hidden || tagged === sound) return;
  tagged = sound;
  unconditioned = null;
  conditionedOn = "";
  clearTimeout(timer);
  find("update-suggestions").hidden = true;
  find("suggestions-note").textContent = "";
  find("suggested").setAttribute("aria-busy", "true");
  suggest(sound);
}

/** Get and show the first suggestions of a sound. @param {PickedSound} sound */
async function suggest(sound) {
  const begin = performance.now();
  const problems = find("tag-problem");
  problems.replaceChildren();
  const onSlow = () => { // the last sound's suggestions go
    clear();
    showStatus("Analysing…");
  };
  try {
    const answer = await withKey(problems, () => uploader.send(`v1/tags?k=${MAX_TAGS}`, sound, {}, onSlow));
    elapsed = performance.now() - begin;
    clear();
    showFirst(answer, sound);
  } catch (error) {
    if (sound !== tagged) return;
    clear();
    showStatus("");
    if (isAbort(error)) showCancelled(sound);
    else showError(problems, error, () => suggest(sound));
  } finally {
    if (sound === tagged) find("suggested").removeAttribute("aria-busy");
  }
}

function clear() {
  if (unconditioned) return;
  tags.clear();
  feedback.clear();
  similar.clear();
  find("suggested").hidden = true;
}

/** @param {PickedSound} sound */
function showCancelled(sound) {
  const again = make("button", { type: "button", class: "plain", onclick: () => suggest(sound) }, "Try again");
  find("tag-problem").replaceChildren(make("div", { class: "notice" },
    make("p", {}, "Cancelled. The sound is still here."), again));
  again.focus();
}

/** @param {Tagging} answer @param {PickedSound} sound */
function showFirst(answer, { player }) {
  unconditioned = answer;
  player.setDuration(answer.duration);
  find("tag-problem").replaceChildren(...(answer.damaged ? [make("p", { class: "notice" },
    `This file is damaged: ${answer.damaged.toFixed(1)} s of it cannot be read and are left out.`)] : []));
  tags.show(answer, player);
  find("suggested").hidden = false;
  showStatus(`${count(answer.tags.filter((tag) => tag.suggested).length, "tag")} suggested`);
}

/** For screen readers: others see the list. @param {string} text */
const showStatus = (text) => { find("tag-status").textContent = text; };

/** The accepted tags that the suggestions are conditioned on. */
const knownTags = () => tags.accepted.slice(0, MAX_KNOWN);

/** The user's choices have changed: update the other suggestions, at once where that is quick. */
function update() {
  feedback.update();
  if (!unconditioned) return; // the next sound is being analysed
  clearTimeout(timer);
  uploader.cancel();
  const known = knownTags().join(",");
  find("update-suggestions").hidden = elapsed < QUICK_MS || !known || known === conditionedOn;
  if (elapsed < QUICK_MS || !known) timer = setTimeout(condition, PAUSE_MS);
}

/** Condition the suggestions on the accepted tags. */
async function condition() {
  const sound = tagged;
  const known = knownTags();
  const button = find("update-suggestions");
  find("tag-problem").replaceChildren();
  if (!sound || known.join(",") === conditionedOn) return;
  try {
    const answer = known.length === 0 ? unconditioned
      : await uploader.send(`v1/tags?k=${MAX_TAGS}`, sound, { tags: known });
    if (sound !== tagged || !answer) return;
    conditionedOn = known.join(",");
    tags.show(answer, sound.player);
    if (focused() === button) find("tag-input").focus();
    button.hidden = true;
    explain(answer);
  } catch (error) {
    if (sound !== tagged || isAbort(error)) return;
    showError(find("tag-problem"), error, condition);
  }
}

/** @param {Tagging} answer */
function explain({ known, ignored }) {
  const parts = [];
  if (known.length) parts.push(`The other suggestions take into account: ${known.join(", ")}.`);
  if (ignored.length) parts.push(`Not used by the model, but added: ${ignored.join(", ")}.`);
  find("suggestions-note").textContent = parts.join(" ");
}

/** Offer the model's tags to the field for the user's own. */
async function offerVocabulary() {
  if (find("vocabulary").childElementCount) return;
  try {
    const { card } = await getModel();
    const words = Object.keys(card.calibration?.thresholds ?? {}).sort();
    find("vocabulary").replaceChildren(...words.map((value) => make("option", { value })));
  } catch { /* any tag can be typed */ }
}

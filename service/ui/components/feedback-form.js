/** Saves the user's tags of a sound: as feedback, and as a clip of the library. */

import { deleteClip, isAbort, postClip, postFeedback } from "../lib/api.js";
import { find, findInput, make, showError } from "../lib/dom.js";
import { hyphenated, splitList, titleOfFile } from "../lib/format.js";
import { formData } from "../lib/upload.js";
import { withKey } from "./api-key-form.js";
import { currentSound } from "./sound-picker.js";

/** @import { Clip } from "../lib/api.js" */
/** @import { TagList } from "./tag-list.js" */

/** @type {TagList} */
let tags;
/** @type {Clip | null} */
let clip = null; // that the sound was added as
let saved = ""; // the choices of the last feedback
let tagsEdited = false; // by hand, in the form of the clip

/** @param {TagList} tagList */
export function start(tagList) {
  tags = tagList;
  find("save-feedback").addEventListener("click", saveFeedback);
  find("open-add").addEventListener("click", toggleForm);
  find("add").addEventListener("submit", (event) => {
    event.preventDefault();
    addClip();
  });
  find("add-tags").addEventListener("input", () => { tagsEdited = true; });
}

/** Forget the last sound. */
export function clear() {
  clip = null;
  saved = "";
  tagsEdited = false;
  openForm(false);
  for (const id of ["feedback-problem", "add-problem", "added"]) find(id).replaceChildren();
  find("open-add").hidden = false;
  findInput("add-title").value = "";
  update();
}

const choices = () => JSON.stringify([tags.accepted, tags.rejected]);
const hasChoices = () => tags.accepted.length + tags.rejected.length > 0;

/** The choices have changed. */
export function update() {
  const isNew = hasChoices() && choices() !== saved;
  find("save-feedback").classList.toggle("idle", !isNew);
  find("save-feedback").textContent = hasChoices() && !isNew ? "Feedback saved" : "Save feedback";
  if (!tagsEdited) findInput("add-tags").value = tags.accepted.map(hyphenated).join(", ");
  if (isNew) find("feedback-status").textContent = "";
}

async function saveFeedback() {
  const problems = find("feedback-problem");
  problems.replaceChildren();
  if (!hasChoices()) {
    find("feedback-status").textContent = "Accept or reject a tag first.";
    return;
  }
  if (choices() === saved) return;
  const sound = currentSound();
  await runOnce(find("save-feedback"), async () => {
    const sent = choices();
    const feedback = { accepted: tags.accepted.map(hyphenated), rejected: tags.rejected };
    await withKey(problems, () => postFeedback(clip
      ? JSON.stringify({ clip: clip.id, ...feedback }) : formData({ ...feedback, file: sound?.file })));
    if (sound !== currentSound()) return;
    saved = sent;
    update();
    find("feedback-status").textContent = clip ? "Feedback saved. Thank you."
      : "Feedback and sound saved. Thank you.";
  }, problems, saveFeedback);
}

function toggleForm() {
  openForm(Boolean(find("add").hidden));
  if (find("add").hidden) return;
  const title = findInput("add-title");
  title.placeholder = titleOfFile(currentSound()?.file.name ?? ""); // unless the file tells its own
  title.focus();
}

/** @param {boolean} visible */
function openForm(visible) {
  find("add").hidden = !visible;
  find("open-add").setAttribute("aria-expanded", String(visible));
}

async function addClip() {
  const sound = currentSound();
  const problems = find("add-problem");
  problems.replaceChildren();
  await runOnce(find("add-submit"), async () => {
    const body = formData({
      title: findInput("add-title").value, author: findInput("add-author").value,
      source: findInput("add-source").value, licence: findInput("add-licence").value,
      tags: splitList(findInput("add-tags").value).map(hyphenated),
      file: sound?.file,
    });
    const added = await withKey(problems, () => postClip(body));
    if (sound !== currentSound()) return;
    clip = added;
    showAdded(added);
    if (hasChoices() && choices() !== saved) saveFeedback();
  }, problems, addClip);
}

/** @param {Clip} added */
function showAdded(added) {
  const link = make("a", { href: `?${new URLSearchParams({ q: added.title })}`, "data-go": true }, "Find it");
  const button = make("button", {
    type: "button", class: "plain", onclick: () => removeClip(button),
  }, "Remove from the library");
  openForm(false);
  find("open-add").hidden = true;
  find("added").replaceChildren(make("div", { class: "notice good" },
    make("p", {}, `“${added.title}” is in the library.`),
    added.twin && make("p", { class: "quiet" }, "The library already had an identical sound."),
    make("div", { class: "row" }, link, button)));
  link.focus();
}

/** @param {HTMLElement} button */
async function removeClip(button) {
  const sound = currentSound();
  await runOnce(button, async () => {
    const id = clip?.id ?? "";
    await withKey(find("add-problem"), () => deleteClip(id));
    if (sound !== currentSound()) return;
    clip = null;
    find("added").replaceChildren(make("p", { class: "quiet", role: "status" }, "Removed from the library."));
    find("open-add").hidden = false;
    find("open-add").focus();
  }, find("add-problem"), () => removeClip(button));
}

/** Do a button's work, once at a time; errors are shown in `place`.
 * @param {HTMLElement} button @param {() => Promise<void>} work
 * @param {HTMLElement} place @param {() => void} retry */
async function runOnce(button, work, place, retry) {
  if (button.getAttribute("aria-busy")) return;
  button.setAttribute("aria-busy", "true");
  try {
    await work();
  } catch (error) {
    if (!isAbort(error)) showError(place, error, retry);
  } finally {
    button.removeAttribute("aria-busy");
  }
}

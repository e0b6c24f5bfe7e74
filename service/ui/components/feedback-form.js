/** What people say of a sound, kept: as feedback on its tags, and as a clip of the library. */

import * as api from "../lib/api.js";
import { complain, find, make, searchAddress } from "../lib/dom.js";
import { authorization, withKey } from "./api-key.js";
import { form } from "../lib/upload.js";
import * as sound from "./sound-picker.js";

let tags;
let clip = null; // the clip that this sound has become
let kept = ""; // the opinion that was kept last
let edited = false; // whether the tags of the clip were typed

export function start(board) {
  tags = board;
  find("keep").addEventListener("click", keepFeedback);
  find("to-add").addEventListener("click", toggleForm);
  find("add").addEventListener("submit", (event) => {
    event.preventDefault();
    add();
  });
  find("add-tags").addEventListener("input", () => { edited = true; });
}

/** Another sound. */
export function clear() {
  clip = null;
  kept = "";
  edited = false;
  open(false);
  for (const id of ["keep-problem", "add-problem", "added"]) find(id).replaceChildren();
  find("to-add").hidden = false;
  find("add-title").value = "";
  changed();
}

const opinion = () => JSON.stringify([tags.accepted, tags.rejected]);
const decided = () => tags.accepted.length + tags.rejected.length > 0;

/** Something was accepted, rejected or taken back. */
export function changed() {
  const fresh = decided() && opinion() !== kept;
  find("keep").classList.toggle("idle", !fresh);
  find("keep").textContent = decided() && !fresh ? "Feedback kept" : "Keep this feedback";
  if (!edited) find("add-tags").value = tags.accepted.map(compound).join(", ");
  if (fresh) find("kept").textContent = "";
}

// As the library writes tags of several words.
const compound = (tag) => tag.replace(/\s+/g, "-");

async function keepFeedback() {
  find("keep-problem").replaceChildren();
  if (!decided()) {
    find("kept").textContent = "Accept or reject a tag first.";
    return;
  }
  if (opinion() === kept) return;
  const of = sound.current();
  await busy(find("keep"), async () => {
    const saying = opinion();
    await withKey(find("keep-problem"), () => (clip ? onClip() : onSound(of.file)));
    if (of !== sound.current()) return;
    kept = saying;
    changed();
    find("kept").textContent = clip ? "Kept. Thank you." : "Kept, with the sound. Thank you.";
  }, find("keep-problem"), keepFeedback);
}

const said = () => ({ accepted: tags.accepted.map(compound), rejected: tags.rejected });

const onSound = (file) => api.opine(form({ ...said(), file }), authorization());

const onClip = () => api.opine(JSON.stringify({ clip: clip.id, ...said() }),
  { ...authorization(), "Content-Type": "application/json" });

function toggleForm() {
  open(find("add").hidden);
  if (find("add").hidden) return;
  if (!find("add-title").value) find("add-title").value = titleOf(sound.current().file.name);
  find("add-title").focus();
}

function open(shown) {
  find("add").hidden = !shown;
  find("to-add").setAttribute("aria-expanded", shown);
}

/** "rain_on-roof.wav" → "rain on roof". */
const titleOf = (name) => name.replace(/\.[^.]*$/, "").replace(/(?<=\p{L})[_-]+|[_-]+(?=\p{L})/gu, " ").trim();

async function add() {
  const { file } = sound.current();
  const of = sound.current();
  find("add-problem").replaceChildren();
  await busy(find("add-now"), async () => {
    const body = form({
      title: find("add-title").value, author: find("add-author").value,
      source: find("add-source").value, licence: find("add-licence").value,
      tags: find("add-tags").value.split(",").map((tag) => compound(tag.trim())).filter(Boolean),
      file,
    });
    const added = await withKey(find("add-problem"), () => api.addClip(body, authorization()));
    if (of !== sound.current()) return;
    clip = added;
    showAdded();
    if (decided() && opinion() !== kept) keepFeedback();
  }, find("add-problem"), add);
}

function showAdded() {
  const link = make("a", { href: searchAddress(clip.title), "data-go": true }, "Find it");
  open(false);
  find("to-add").hidden = true;
  find("added").replaceChildren(make("div", { class: "notice good" },
    make("p", {}, `“${clip.title}” is in the library.`),
    clip.twin && make("p", { class: "quiet" }, "It held the very same sound already."),
    make("div", { class: "row" }, link,
      make("button", { type: "button", class: "plain", onclick: remove }, "Remove again"))));
  link.focus();
}

async function remove(event) {
  const of = sound.current();
  await busy(event.currentTarget, async () => {
    await withKey(find("add-problem"), () => api.removeClip(clip.id, authorization()));
    if (of !== sound.current()) return;
    clip = null;
    find("added").replaceChildren(make("p", { class: "quiet", role: "status" }, "Removed again."));
    find("to-add").hidden = false;
    find("to-add").focus();
  }, find("add-problem"), () => find("added").querySelector("button")?.click());
}

/** Do something that a button stands for, once at a time; trouble is said in `place`. */
async function busy(button, work, place, again) {
  if (button.getAttribute("aria-busy")) return;
  button.setAttribute("aria-busy", "true");
  try {
    await work();
  } catch (error) {
    if (error.name !== "AbortError") complain(place, error, again);
  } finally {
    button.removeAttribute("aria-busy");
  }
}

/** A sound → words: what it is heard as, what people accept of that, and what to do with it. */

import * as api from "../lib/api.js";
import { copyButton } from "../components/copy-button.js";
import { complain, find, make } from "../lib/dom.js";
import * as keep from "../components/feedback-form.js";
import { withKey } from "../components/api-key.js";
import { Listener } from "../lib/upload.js";
import * as similar from "../components/similar-sounds.js";
import * as sound from "../components/sound-picker.js";
import { Tags } from "../components/tag-list.js";

const MANY = 40; // tags asked for: the lists take the best of them
const QUICK_MS = 2500; // sounds heard within this are heard again by themselves
const PAUSE_MS = 500;
const MOST_KNOWN = 50; // that the service takes

const listener = new Listener(find("tag-progress"));
let tags;
let plain = null; // the answer that nothing known has refined
let heard = null; // the sound it is of
let took = 0; // milliseconds
let refined = ""; // by these tags
let timer = 0;

export const title = "Tag a sound";
export const focus = "file";

export function start(go) {
  sound.start(go);
  sound.onSound(begin);
  tags = new Tags(changed);
  keep.start(tags);
  similar.start();
  find("copies").append(
    copyButton("Copy as text", () => tags.wanted.join(", ")),
    copyButton("Copy as JSON", () => JSON.stringify(
      { sound: heard.file.name, duration: heard.control.duration, tags: tags.report() }, null, 2)));
  find("refine").addEventListener("click", refine);
  find("less").open = matchMedia("(min-width: 40rem)").matches; // else one scrolls far
}

export function show() {
  sound.showIn(find("tag-sound"));
  if (sound.current() && heard !== sound.current()) begin(sound.current());
  offerWords();
}

export const hide = sound.leave;

/** Another sound. One that came while the other view was open is heard when this one is. */
function begin(of) {
  if (find("tag").hidden || heard === of) return;
  heard = of;
  plain = null;
  refined = "";
  clearTimeout(timer);
  find("refine").hidden = true;
  find("refined").textContent = "";
  find("suggested").setAttribute("aria-busy", "true");
  listen();
}

async function listen() {
  const of = heard;
  const begun = performance.now();
  find("tag-problem").replaceChildren();
  try {
    const answer = await withKey(find("tag-problem"), () => listener.ask(
      `/v1/tags?k=${MANY}`, of, {}, slow));
    took = performance.now() - begun;
    clear();
    showFirst(answer);
  } catch (error) {
    if (of !== heard) return;
    clear();
    say("");
    if (error.name === "AbortError") stopped();
    else complain(find("tag-problem"), error, listen);
  } finally {
    if (of === heard) find("suggested").removeAttribute("aria-busy");
  }
}

/** It takes a while: what was heard of the sound before is gone, and it is said what goes on. */
function slow() {
  clear();
  say("Listening…");
}

function clear() {
  if (plain) return;
  tags.clear();
  keep.clear();
  similar.clear();
  find("suggested").hidden = true;
}

function stopped() {
  const again = make("button", { type: "button", class: "plain", onclick: listen }, "Listen again");
  find("tag-problem").replaceChildren(make("div", { class: "notice" },
    make("p", {}, "Stopped. The sound is still here."), again));
  again.focus();
}

function showFirst(answer) {
  plain = answer;
  sound.setDuration(answer.duration);
  tags.show(answer, heard.control);
  find("suggested").hidden = false;
  const suggested = answer.tags.filter((each) => each.suggested).length;
  say(suggested === 1 ? "1 tag suggested" : `${suggested} tags suggested`);
}

// What is there to see need not be said to all.
const say = (text) => { find("heard").textContent = text; };

/** Something was decided: the rest is weighed beside it, at once where that is quick. */
function changed() {
  keep.changed();
  if (!plain) return; // another sound is being heard
  clearTimeout(timer);
  listener.stop();
  const known = tags.accepted.slice(0, MOST_KNOWN).join(",");
  find("refine").hidden = took < QUICK_MS || !known || known === refined;
  if (took < QUICK_MS || !known) timer = setTimeout(refine, PAUSE_MS);
}

async function refine() {
  const of = heard;
  const known = tags.accepted.slice(0, MOST_KNOWN);
  find("tag-problem").replaceChildren();
  if (known.join(",") === refined) return;
  try {
    const answer = known.length === 0 ? plain : await listener.ask(
      `/v1/tags?k=${MANY}`, of, { tags: known });
    if (of !== heard) return;
    refined = known.join(",");
    tags.show(answer, of.control);
    if (document.activeElement === find("refine")) find("own-tag-word").focus();
    find("refine").hidden = true;
    tellRefined(answer);
  } catch (error) {
    if (of !== heard || error.name === "AbortError") return;
    complain(find("tag-problem"), error, refine);
  }
}

function tellRefined({ known, ignored }) {
  const parts = [];
  if (known.length) parts.push(`Others are weighed beside: ${known.join(", ")}.`);
  if (ignored.length) parts.push(`Not known to the model, kept all the same: ${ignored.join(", ")}.`);
  find("refined").textContent = parts.join(" ");
}

/** The model's words, for the box of one's own. */
async function offerWords() {
  if (find("model-words").childElementCount) return;
  try {
    const { card } = await api.model();
    const words = Object.keys(card.calibration?.thresholds ?? {}).sort();
    find("model-words").replaceChildren(...words.map((value) => make("option", { value })));
  } catch { /* one can type all the same */ }
}

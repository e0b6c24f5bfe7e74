/** A sound → words: suggested tags, and probabilities of one's own labels. */

import * as api from "./api.js";
import { bar, clock, complain, find, make, percent, searchLink, size } from "./dom.js";
import { Control, stopOrphan } from "./player.js";

const LONG_SECONDS = 4; // of longer sounds it is said where a tag was heard

let sound = null; // {file, address, control} of the chosen file
let pending = new AbortController(); // of the suggestion
let comparing = new AbortController();

export const title = "Tag a sound";
export const focus = "file";

export function show() {}

/** Listen to the file button, the labels, and files dropped anywhere. */
export function start(go) {
  find("file").addEventListener("change", (event) => {
    if (event.target.files.length) take(event.target.files);
    event.target.value = ""; // the same file can be chosen again
  });
  find("own").addEventListener("submit", (event) => {
    event.preventDefault();
    compare();
  });
  find("copy").addEventListener("click", copy);
  acceptDrops((files) => {
    go("#tag");
    take(files);
  });
}

function acceptDrops(use) {
  const page = document.documentElement;
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  page.addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    page.classList.add("dragging");
  });
  page.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) page.classList.remove("dragging");
  });
  page.addEventListener("drop", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    page.classList.remove("dragging");
    if (event.dataTransfer.files.length) use(event.dataTransfer.files);
  });
}

function take(files) {
  if (sound) URL.revokeObjectURL(sound.address);
  const [file] = files;
  const address = URL.createObjectURL(file);
  const control = new Control({ address, title: file.name });
  sound = { file, address, control };
  const only = files.length > 1 ? `, the first of ${files.length}` : "";
  find("sound").replaceChildren(make("div", { class: "result" },
    control.button,
    make("div", { class: "head" },
      make("h2", {}, file.name), make("span", { class: "quiet" }, size(file.size) + only)),
    make("div", { class: "player" }, control.track, control.time)));
  stopOrphan();
  listen();
  find("classes").replaceChildren();
  if (labels().length > 1) compare();
}

async function listen() {
  pending.abort();
  const { signal } = (pending = new AbortController());
  find("suggested").hidden = true;
  find("tag-problem").replaceChildren();
  find("drop").classList.add("small-drop");
  say("Listening…", true);
  try {
    const answer = await api.suggest(sound.file, signal);
    showTags(answer);
    say(`${answer.tags.length} tags suggested`, false);
  } catch (error) {
    if (error.name === "AbortError") return;
    say("", false);
    complain(find("tag-problem"), error, listen);
  }
}

function say(text, busy) {
  find("heard").textContent = text;
  find("heard").className = busy ? "status busy" : "unseen"; // what is seen need not be said
}

function showTags({ tags, duration }) {
  sound.control.duration = duration;
  sound.control.draw();
  find("tags").replaceChildren(...tags.map(({ tag, score, windows }) =>
    scoreLine(searchLink(tag, "chip"), tag, score, duration > LONG_SECONDS && moments(windows))));
  find("suggested").hidden = false;
}

function scoreLine(name, label, share, more) {
  const text = percent(share);
  return make("li", {}, name, bar(share, text, label),
    make("span", { class: "number" }, text), more);
}

/** Buttons that play the sound where a tag was heard best, in order of time. */
function moments(windows) {
  const best = Math.max(...windows.map(({ score }) => score));
  const starts = windows.filter(({ score }) => score >= best / 2).map(({ start }) => start);
  const { control } = sound;
  return make("span", { class: "moments" }, "at",
    ...starts.sort((a, b) => a - b).map((start) => make("button", {
      type: "button", class: "link", "aria-label": `Play from ${clock(start)}`,
      onclick: () => control.play(start),
    }, clock(start))));
}

const labels = () => find("labels").value.split(",").map((each) => each.trim()).filter(Boolean);

async function compare() {
  comparing.abort();
  find("own-problem").replaceChildren();
  const few = labels().length < 2 && "At least two labels, please.";
  const missing = sound ? few : "Choose a sound first.";
  note(missing || "Listening…", !missing);
  if (missing) return;
  const { signal } = (comparing = new AbortController());
  try {
    const { classes, ignored } = await api.classify(sound.file, labels().join(","), signal);
    find("classes").replaceChildren(...classes.map(({ label, probability }) =>
      scoreLine(searchLink(label, "chip"), label, probability)));
    note(ignored.length ? `Not used: ${ignored.join(", ")}.` : "Most likely first.", false);
  } catch (error) {
    if (error.name === "AbortError") return;
    note("", false);
    complain(find("own-problem"), error, compare);
  }
}

function note(text, busy) {
  find("own-note").textContent = text;
  find("own-note").classList.toggle("busy", busy);
}

async function copy() {
  const text = [...find("tags").querySelectorAll(".chip")].map((chip) => chip.textContent).join(", ");
  const done = await write(text);
  find("copy").textContent = done ? "Copied" : "Could not copy";
  setTimeout(() => { find("copy").textContent = "Copy tags"; }, 2000);
}

/** To the clipboard; the old way where the page is not served securely. */
async function write(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = make("textarea", { class: "unseen" });
    field.value = text;
    find("copy").after(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  }
}

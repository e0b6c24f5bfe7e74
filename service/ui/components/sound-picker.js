/** A sound of one's own, for the views that hear one: chosen, dropped anywhere, or recorded. */

import { complain, clock, find, make, shape, size } from "../lib/dom.js";
import { outlineOf } from "../lib/waveform.js";
import { Control, stopOrphan } from "./player.js";
import { Recorder } from "./recorder.js";

const POINTS = 240;
const HEARING = ["#tag", "#classify"]; // views that use it
const METER_BARS = 60;

let sound = null; // {file, control} of the chosen file
let recorder = null;
let starting = false;
let levels = [];
const listeners = [];

/** The sound, or null: {file, control}. */
export const current = () => sound;

/** Call `use(sound)` whenever there is another one. */
export const onSound = (use) => listeners.push(use);

/** Listen to the file button, to the microphone's, and to files dropped anywhere. */
export function start(go) {
  find("file").addEventListener("change", (event) => {
    if (event.target.files.length) take(event.target.files);
    event.target.value = ""; // the same file can be chosen again
  });
  find("record").addEventListener("click", () => (recorder ? recorder.stop() : record()));
  acceptDrops((files) => {
    if (!HEARING.includes(location.hash)) go("#tag");
    take(files);
  });
}

/** Where it is shown now: the views share one. */
export function showIn(place) {
  if (find("own-sound").parentNode !== place) place.append(find("own-sound"));
}

/** Leave no recording going on unseen; what was recorded is kept. */
export function leave() {
  recorder?.stop();
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

/** Use the first of these files. */
export function take(files, duration = 0) {
  if (sound) URL.revokeObjectURL(sound.control.address);
  const [file] = files;
  const control = new Control({ address: URL.createObjectURL(file), title: file.name, duration });
  sound = { file, control };
  const only = files.length > 1 ? `, the first of ${files.length}` : "";
  find("sound").replaceChildren(make("div", { class: "result" },
    control.button,
    make("div", { class: "head" },
      make("h2", {}, file.name), make("span", { class: "quiet" }, size(file.size) + only)),
    make("div", { class: "player" }, control.track, control.time)));
  find("picker").classList.add("small-picker");
  find("record-problem").replaceChildren();
  stopOrphan();
  draw(sound);
  for (const use of listeners) use(sound);
}

async function draw(of) {
  const outline = await outlineOf(of.file, POINTS);
  if (of !== sound) return;
  if (!outline) return of.control.track.classList.add("unknown");
  of.control.outline(outline.peaks);
  setDuration(outline.duration);
}

/** The sound's length in seconds, from whoever finds out; the last is as right as the first. */
export function setDuration(seconds) {
  sound.control.duration = seconds;
  sound.control.draw();
}

async function record() {
  if (starting) return;
  starting = true;
  say("Waiting for the microphone…");
  find("record-problem").replaceChildren();
  const begun = new Recorder(drawLevel);
  try {
    await begun.start(recorded);
    recorder = begun;
    levels = [];
    find("meter").hidden = false;
    find("record").textContent = "Stop recording";
    find("record").dataset.state = "recording";
    say("Recording");
  } catch (error) {
    say("");
    complain(find("record-problem"), error, record);
  } finally {
    starting = false;
  }
}

function recorded(file, seconds) {
  recorder = null;
  find("meter").hidden = true;
  find("record").textContent = "Record again";
  delete find("record").dataset.state;
  say(file.size ? `Recorded ${clock(seconds)}` : "Nothing was recorded.");
  if (file.size) take([file], seconds);
}

const say = (text) => { find("record-note").textContent = text; };

/** The time, and the levels of the last seconds. */
function drawLevel(seconds, level) {
  levels = [...levels, level].slice(-METER_BARS);
  find("elapsed").textContent = clock(seconds);
  const path = levels.map((each, place) => {
    const x = METER_BARS - levels.length + place + 0.5;
    const half = 2 + 46 * each;
    return `M${x} ${50 - half}V${50 + half}`;
  });
  find("level").replaceChildren(shape("path", { d: path.join("") }));
  find("level").parentNode.setAttribute("aria-valuenow", Math.round(100 * level));
}

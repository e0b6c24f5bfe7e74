/** The user's sound, for the views that analyse one: chosen, dropped anywhere, or recorded. */

import { find, findInput, make, makeSvg, showError } from "../lib/dom.js";
import { clock, fileSize } from "../lib/format.js";
import { waveformOfFile } from "../lib/waveform.js";
import { PartBar } from "./part-bar.js";
import { Player, stopDetached } from "./player.js";
import { Recorder } from "./recorder.js";

/** @typedef {{file: File, player: Player}} PickedSound */

const POINTS = 240; // of the waveform
const VIEWS = ["#tag", "#classify"]; // that use the sound
const METER_BARS = 60;

/** @type {PickedSound | null} */
let sound = null;
/** @type {Recorder | null} */
let recorder = null;
let starting = false;
/** @type {number[]} */
let levels = [];
/** @type {(() => void)[]} */
const listeners = [];

export const currentSound = () => sound;

/** @param {() => void} listener called when there is another sound */
export const onSound = (listener) => listeners.push(listener);

/** @param {(address: string) => void} go leads to an address of the page */
export function start(go) {
  const input = findInput("file");
  input.addEventListener("change", () => {
    if (input.files?.length) pick([...input.files]);
    input.value = ""; // the same file can be chosen again
  });
  find("record").addEventListener("click", () => (recorder ? recorder.stop() : record()));
  acceptDrops((files) => {
    if (!VIEWS.includes(location.hash)) go("#tag");
    pick(files);
  });
}

/** Move the picker, which the views share, into a view. @param {HTMLElement} place */
export function showIn(place) {
  if (find("sound-picker").parentNode !== place) place.append(find("sound-picker"));
}

/** Leave the view: a recording ends, and is kept. */
export function hide() {
  recorder?.stop();
}

/** @param {(files: File[]) => void} onDrop */
function acceptDrops(onDrop) {
  const page = document.documentElement;
  page.addEventListener("dragover", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    page.classList.add("dragging");
  });
  page.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) page.classList.remove("dragging");
  });
  page.addEventListener("drop", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    page.classList.remove("dragging");
    if (event.dataTransfer.files.length) onDrop([...event.dataTransfer.files]);
  });
}

/** Use the first of these files. @param {File[]} files @param {number} [duration] seconds, where known */
function pick(files, duration = 0) {
  if (sound) URL.revokeObjectURL(sound.player.address);
  const [file] = files;
  const player = new Player({
    address: URL.createObjectURL(file), title: file.name, duration, selectable: true,
  });
  const part = new PartBar(player);
  sound = { file, player };
  const note = files.length > 1 ? `, the first of ${files.length}` : "";
  find("sound").replaceChildren(make("div", { class: "result" },
    player.button,
    make("div", { class: "head" },
      make("h2", {}, file.name), make("span", { class: "quiet" }, fileSize(file.size) + note)),
    make("div", { class: "player" }, player.track, player.time, part.node,
      make("div", { class: "tools" }, part.button))));
  find("picker").classList.add("small-picker");
  find("record-problem").replaceChildren();
  stopDetached();
  showWaveform(sound);
  for (const listener of listeners) listener();
}

/** @param {PickedSound} picked */
async function showWaveform(picked) {
  const waveform = await waveformOfFile(picked.file, POINTS);
  if (picked !== sound) return;
  if (!waveform) return picked.player.outline.showNone();
  picked.player.outline.show(waveform.peaks);
  picked.player.setDuration(waveform.duration);
}

async function record() {
  if (starting) return;
  starting = true;
  showNote("Waiting for the microphone…");
  find("record-problem").replaceChildren();
  const started = new Recorder(drawLevel);
  try {
    await started.start(finishRecording);
    recorder = started;
    levels = [];
    find("meter").hidden = false;
    find("record").textContent = "Stop recording";
    find("record").dataset.state = "recording";
    showNote("Recording");
  } catch (error) {
    showNote("");
    showError(find("record-problem"), error, record);
  } finally {
    starting = false;
  }
}

/** @param {File} file @param {number} seconds */
function finishRecording(file, seconds) {
  recorder = null;
  find("meter").hidden = true;
  find("record").textContent = "Record again";
  delete find("record").dataset.state;
  showNote(file.size ? `Recorded ${clock(seconds)}` : "Nothing was recorded.");
  if (file.size) pick([file], seconds);
}

/** @param {string} text */
const showNote = (text) => { find("record-note").textContent = text; };

/** Draw the time, and the levels of the last seconds. @param {number} seconds @param {number} level */
function drawLevel(seconds, level) {
  levels = [...levels, level].slice(-METER_BARS);
  find("elapsed").textContent = clock(seconds);
  const lines = levels.map((height, place) => {
    const x = METER_BARS - levels.length + place + 0.5;
    const half = 2 + 46 * height;
    return `M${x} ${50 - half}V${50 + half}`;
  });
  const meter = find("level-meter");
  meter.setAttribute("aria-valuenow", String(Math.round(100 * level)));
  meter.querySelector("svg")?.replaceChildren(makeSvg("path", { d: lines.join("") }));
}

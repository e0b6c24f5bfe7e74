/** How sounds play: in a loop, slower or faster, and how loud; with controls that appear once one does. */

import { find, findButton, findInput } from "../lib/dom.js";
import { readText, writeText } from "../lib/storage.js";

const LEVEL = "level"; // stored, from 0 to 100
const LEVEL_STEP = 10;

export const audio = find("player", HTMLAudioElement);
const bar = find("playback");
const loop = findButton("loop");
const speed = find("speed", HTMLSelectElement);
const pitch = findButton("pitch");
const level = findInput("level-of-sound");

/** @param {HTMLElement} button */
const isOn = (button) => button.getAttribute("aria-pressed") === "true";

/** @param {HTMLElement} button */
const flip = (button) => button.setAttribute("aria-pressed", String(!isOn(button)));

/** Whether the part that plays, or the sound, begins again at its end. */
export const isLooping = () => isOn(loop);

export function showPlayback() {
  bar.hidden = false;
}

export function toggleLoop() {
  flip(loop);
  say(isLooping() ? "Loop on" : "Loop off");
}

/** Whether voices and notes keep their pitch when they play slower or faster. */
export function togglePitch() {
  flip(pitch);
  apply();
  say(isOn(pitch) ? "Pitch kept" : "Pitch follows the speed");
}

/** @param {number} direction 1: faster, -1: slower */
export function changeSpeed(direction) {
  const next = speed.selectedIndex + direction;
  speed.selectedIndex = Math.min(Math.max(0, next), speed.length - 1);
  apply();
  say(`Speed ${speed.selectedOptions[0].text}`);
}

/** @param {number} direction 1: louder, -1: quieter */
export function changeLevel(direction) {
  level.value = String(Number(level.value) + direction * LEVEL_STEP);
  setLevel();
  say(`Level ${level.value} %`);
}

/** Tell what a key has changed. @param {string} text */
function say(text) {
  showPlayback();
  find("playback-note").textContent = text;
}

function apply() {
  const share = Number(level.value) / 100;
  audio.volume = share ** 2; // about as loud as it looks
  audio.defaultPlaybackRate = audio.playbackRate = Number(speed.value);
  audio.preservesPitch = isOn(pitch);
  pitch.hidden = speed.value === "1";
  level.setAttribute("aria-valuetext", `${level.value} %`);
}

function setLevel() {
  apply();
  writeText("localStorage", LEVEL, level.value);
}

level.value = readText("localStorage", LEVEL) ?? level.value;
apply();
loop.addEventListener("click", () => flip(loop));
pitch.addEventListener("click", () => {
  flip(pitch);
  apply();
});
speed.addEventListener("change", apply);
level.addEventListener("input", setLevel);

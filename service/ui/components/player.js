/** One audio element for the whole page, so that only one sound plays at a time. */

import * as api from "../lib/api.js";
import { clock, find, make, shape } from "../lib/dom.js";

const POINTS = 240; // stretches of an outline
const READERS = 3; // outlines read at a time, so that searches need not wait for them
const PASSING_MS = 250; // lists that are shown for less, as one types, read no outlines
const KEPT = 500; // outlines

const audio = find("player");
const controls = new WeakMap(); // by play button
const outlines = new Map(); // peaks, by address; those used last are the last
let reading = 0;
const waiting = []; // to read an outline
let current = null; // the control that has the audio element

/**
 * A sound's play button, its outline with the place in it (`track`), and its time. Times in
 * seconds; play starts at `start`. `waveform`: where the outline is read from when it is seen.
 */
export class Control {
  constructor({ address, title, duration = 0, start = 0, waveform = "" }) {
    Object.assign(this, { address, title, duration, start, position: start });
    this.button = make("button", { type: "button", class: "play", onclick: () => this.toggle() });
    controls.set(this.button, this);
    this.seek = make("input", {
      type: "range", class: "seek", min: 0, step: "any", "aria-label": `Position in ${title}`,
      oninput: () => this.moveTo(Number(this.seek.value)),
      onclick: () => this.playing || this.play(), // by pointer: keys only seek
    });
    this.shape = shape("svg", { class: "outline", preserveAspectRatio: "none", "aria-hidden": true });
    this.marks = make("div", { class: "marks" });
    this.track = make("div", { class: "track" }, this.shape, this.marks, this.seek);
    this.time = make("span", { class: "time" });
    if (current?.address === address && !audio.paused) this.takeOver();
    this.note = "";
    this.draw();
    if (waveform) whenSeen(this.track, () => this.read(waveform));
  }

  /** The control that a play button belongs to. */
  static of(button) {
    return controls.get(button);
  }

  async read(address) {
    try {
      const peaks = await peaksOf(address, () => this.track.isConnected);
      if (peaks) this.outline(peaks);
    } catch {
      this.track.classList.add("unknown"); // a bar without an outline serves as well
    }
  }

  /** Show the sound's outline: [least, greatest] of each stretch, from -127 to 127. */
  outline(peaks) {
    const loudest = Math.max(8, ...peaks.flat().map(Math.abs)); // quiet sounds are seen as well
    const [low, high] = [0, 1].map((side) => peaks.map((peak) => 50 * (1 - peak[side] / loudest)));
    const line = [...high.map((y, x) => `${x} ${y - 0.7}`),
      ...low.map((y, x) => `${x} ${y + 0.7}`).reverse()];
    const path = `M${line.join("L")}Z`;
    this.shape.setAttribute("viewBox", `0 0 ${Math.max(1, peaks.length - 1)} 100`);
    this.shape.replaceChildren(shape("path", { class: "rest", d: path }),
      shape("path", { class: "done", d: path }));
    this.track.classList.add("drawn");
  }

  /** Mark stretches of the sound: {start, end, share} with a share from 0 to 1. */
  mark(stretches) {
    this.marks.replaceChildren(...stretches.map(({ start, end, share = 1 }) => {
      const mark = make("span");
      mark.style.insetInlineStart = `${100 * start / this.duration}%`;
      mark.style.inlineSize = `${100 * (end - start) / this.duration}%`;
      mark.style.opacity = share;
      return mark;
    }));
  }

  get playing() {
    return current === this && !audio.paused;
  }

  toggle() {
    if (this.playing) audio.pause();
    else this.play();
  }

  /** Play from a position, by default from where it is. */
  play(position = this.position) {
    this.note = "";
    if (current !== this) {
      pause();
      current = this;
      audio.src = this.address;
    }
    this.moveTo(position);
    audio.play().catch((error) => {
      if (error.name === "AbortError") return; // another sound took its place
      this.note = "cannot be played";
      this.draw();
    });
  }

  moveTo(position) {
    this.position = position;
    if (current === this) audio.currentTime = position;
    this.draw();
  }

  /** A step forward (1) or back (-1), longer in longer sounds. */
  step(by) {
    const seconds = Math.min(5, Math.max(0.25, this.duration / 20));
    this.moveTo(Math.min(Math.max(0, this.position + by * seconds), this.duration));
  }

  /** Go on with a sound that is already playing, drawn anew. */
  takeOver() {
    current = this;
    this.position = audio.currentTime;
  }

  draw() {
    const action = this.playing ? "Pause" : "Play";
    this.button.setAttribute("aria-label", `${action} ${this.title}`);
    this.button.dataset.state = this.playing ? "playing" : "paused";
    this.seek.max = this.duration || 1;
    this.seek.value = this.position;
    this.seek.setAttribute("aria-valuetext", clock(this.position));
    this.track.style.setProperty("--done", `${100 * this.position / this.seek.max}%`);
    this.time.textContent = this.note || this.times();
  }

  times() {
    const short = this.duration < 10;
    const shown = (seconds) => (short ? seconds.toFixed(1) : clock(seconds));
    const whole = this.duration ? shown(this.duration) + (short ? " s" : "") : "";
    return this.position || this.playing ? `${shown(this.position)} / ${whole}` : whole;
  }
}

/** Peaks of an outline, kept or read; nothing where nobody `wants` them any more. */
async function peaksOf(address, wants) {
  let peaks = outlines.get(address);
  if (!peaks) {
    await new Promise((done) => setTimeout(done, PASSING_MS));
    if (reading >= READERS) await new Promise((done) => waiting.push(done));
    reading += 1;
    try {
      peaks = outlines.get(address) ?? (wants() && (await api.waveform(address, POINTS)).peaks);
    } finally {
      reading -= 1;
      waiting.shift()?.();
    }
  }
  if (!peaks) return null;
  outlines.delete(address);
  outlines.set(address, peaks);
  if (outlines.size > KEPT) outlines.delete(outlines.keys().next().value);
  return peaks;
}

const seen = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    seen.unobserve(target);
    target.dispatchEvent(new Event("seen"));
  }
}, { rootMargin: "200px" });

/** Do something the first time that an element is about to be seen. */
export function whenSeen(node, action) {
  node.addEventListener("seen", action, { once: true });
  seen.observe(node);
}

/** The control of the sound that plays or has played last, if it is still on the page. */
export const latest = () => (current?.button.isConnected ? current : null);

export function pause() {
  audio.pause();
  current?.draw();
}

/** Stop a sound whose control has left the page. */
export function stopOrphan() {
  if (current && !current.button.isConnected) {
    pause();
    current = null;
  }
}

function follow() {
  if (!current) return;
  current.position = audio.currentTime;
  current.draw();
  if (current.playing) requestAnimationFrame(follow);
}

audio.addEventListener("playing", follow);
audio.addEventListener("pause", () => current?.draw());
audio.addEventListener("ended", () => current?.moveTo(current.start));
audio.addEventListener("loadedmetadata", () => {
  if (current && Number.isFinite(audio.duration)) current.duration = audio.duration;
});

/** Players of sounds. They share one audio element, so that only one sound plays at a time. */

import { clipAddress, getWaveform } from "../lib/api.js";
import { make, makeSvg } from "../lib/dom.js";
import { clock } from "../lib/format.js";
import { outlinePath } from "../lib/waveform.js";

/** @import { Hit } from "../lib/api.js" */
/** @import { Peak } from "../lib/waveform.js" */

const POINTS = 240; // of a waveform
const MAX_READS = 3; // waveforms read at a time, so that searches need not wait for them
const DELAY_MS = 250; // lists that are shown for less, while the user types, read no waveforms
const MAX_CACHED = 500; // waveforms

const audio = /** @type {HTMLAudioElement} */ (document.getElementById("player"));
/** @type {WeakMap<Element, Player>} */
const players = new WeakMap(); // by play button
/** @type {Map<string, Peak[]>} */
const cache = new Map(); // by address, the least recently used first
/** @type {((value?: any) => void)[]} */
const queue = []; // reads that wait
let reads = 0; // in progress
/** @type {Player | null} */
let current = null; // has the audio element

/** A sound's play button, its waveform with the position (`track`), and its time, in seconds. */
export class Player {
  /**
   * @param {object} sound
   * @param {string} sound.address
   * @param {string} sound.title
   * @param {number} [sound.duration] 0: not known yet
   * @param {number} [sound.start] where it starts to play
   * @param {string} [sound.waveform] address of the waveform, which is read once it is in view
   */
  constructor({ address, title, duration = 0, start = 0, waveform = "" }) {
    this.address = address;
    this.title = title;
    this.duration = duration;
    this.start = this.position = start;
    this.message = "";
    this.button = make("button", { type: "button", class: "play", onclick: () => this.toggle() });
    players.set(this.button, this);
    this.seek = make("input", {
      type: "range", class: "seek", min: 0, step: "any", "aria-label": `Position in ${title}`,
      oninput: () => this.moveTo(Number(this.seek.value)),
      onclick: () => this.playing || this.play(), // by pointer: keys only seek
    });
    this.outline = makeSvg("svg", { class: "outline", preserveAspectRatio: "none", "aria-hidden": true });
    this.marks = make("div", { class: "marks" });
    this.track = make("div", { class: "track" }, this.outline, this.marks, this.seek);
    this.time = make("span", { class: "time" });
    if (current?.address === address && !audio.paused) this.#takeOver();
    this.draw();
    if (waveform) whenVisible(this.track, () => this.#readWaveform(waveform));
  }

  /** The player of a clip of the library. @param {Hit} clip */
  static ofClip({ id, title, duration, start }) {
    return new Player({
      address: clipAddress(id, "/audio"), title, duration, start, waveform: clipAddress(id, "/waveform"),
    });
  }

  /** The player that a play button belongs to. @param {Element} button */
  static ofButton(button) {
    return players.get(button);
  }

  /** @param {string} address */
  async #readWaveform(address) {
    try {
      const peaks = await readPeaks(address, () => this.track.isConnected);
      if (peaks) this.showWaveform(peaks);
    } catch {
      this.showNoWaveform();
    }
  }

  /** @param {Peak[]} peaks */
  showWaveform(peaks) {
    const path = outlinePath(peaks);
    this.outline.setAttribute("viewBox", `0 0 ${Math.max(1, peaks.length - 1)} 100`);
    this.outline.replaceChildren(makeSvg("path", { class: "rest", d: path }),
      makeSvg("path", { class: "done", d: path }));
    this.track.classList.add("drawn");
  }

  /** A plain bar in its place. */
  showNoWaveform() {
    this.track.classList.add("unknown");
  }

  /** Highlight parts of the sound; `share` is their weight, from 0 to 1.
   * @param {{start: number, end: number, share?: number}[]} parts */
  mark(parts) {
    this.marks.replaceChildren(...parts.map(({ start, end, share = 1 }) => {
      const mark = make("span");
      mark.style.insetInlineStart = `${100 * start / this.duration}%`;
      mark.style.inlineSize = `${100 * (end - start) / this.duration}%`;
      mark.style.opacity = String(share);
      return mark;
    }));
  }

  /** @param {number} seconds */
  setDuration(seconds) {
    this.duration = seconds;
    this.draw();
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
    this.message = "";
    if (current !== this) {
      pause();
      current = this;
      audio.src = this.address;
    }
    this.moveTo(position);
    audio.play().catch((error) => {
      if (error.name === "AbortError") return; // another sound took its place
      this.message = "cannot be played";
      this.draw();
    });
  }

  /** @param {number} position */
  moveTo(position) {
    this.position = position;
    if (current === this) audio.currentTime = position;
    this.draw();
  }

  /** Move a step forward (1) or back (-1), longer in longer sounds. @param {number} direction */
  step(direction) {
    const seconds = Math.min(5, Math.max(0.25, this.duration / 20));
    this.moveTo(Math.min(Math.max(0, this.position + direction * seconds), this.duration));
  }

  /** Continue a sound that is already playing, and is drawn anew. */
  #takeOver() {
    current = this;
    this.position = audio.currentTime;
  }

  draw() {
    const end = this.duration || 1;
    this.button.setAttribute("aria-label", `${this.playing ? "Pause" : "Play"} ${this.title}`);
    this.button.dataset.state = this.playing ? "playing" : "paused";
    this.seek.max = String(end);
    this.seek.value = String(this.position);
    this.seek.setAttribute("aria-valuetext", clock(this.position));
    this.track.style.setProperty("--done", `${100 * this.position / end}%`);
    this.time.textContent = this.message || this.#times();
  }

  #times() {
    const short = this.duration < 10;
    /** @param {number} seconds */
    const text = (seconds) => (short ? seconds.toFixed(1) : clock(seconds));
    const total = this.duration ? text(this.duration) + (short ? " s" : "") : "";
    return this.position || this.playing ? `${text(this.position)} / ${total}` : total;
  }
}

/** Peaks from the cache or the service; null if they are not `needed` any more.
 * @param {string} address @param {() => boolean} needed */
async function readPeaks(address, needed) {
  let peaks = cache.get(address);
  if (!peaks) {
    await new Promise((resolve) => setTimeout(resolve, DELAY_MS));
    if (reads >= MAX_READS) await new Promise((resolve) => queue.push(resolve));
    reads += 1;
    try {
      peaks = cache.get(address);
      if (!peaks && needed()) ({ peaks } = await getWaveform(address, POINTS));
    } finally {
      reads -= 1;
      queue.shift()?.();
    }
  }
  if (!peaks) return null;
  cache.delete(address);
  cache.set(address, peaks);
  for (const oldest of cache.keys()) {
    if (cache.size <= MAX_CACHED) break;
    cache.delete(oldest);
  }
  return peaks;
}

const visibility = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    visibility.unobserve(target);
    target.dispatchEvent(new Event("visible"));
  }
}, { rootMargin: "200px" });

/** Call `action` once the element is about to be visible. @param {Element} node @param {() => void} action */
function whenVisible(node, action) {
  node.addEventListener("visible", action, { once: true });
  visibility.observe(node);
}

/** The player that plays or has played last, if it is still on the page. */
export const lastPlayer = () => (current?.button.isConnected ? current : null);

export function pause() {
  audio.pause();
  current?.draw();
}

/** Stop a sound whose player has left the page. */
export function stopDetached() {
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

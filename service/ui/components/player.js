/** Players of sounds. They share one audio element, so that only one sound plays at a time. */

import { clipAddress, soundAddress } from "../lib/api.js";
import { make } from "../lib/dom.js";
import { clock } from "../lib/format.js";
import { Outline } from "./outline.js";
import { readPeaks, whenVisible } from "./waveforms.js";

/** @import { Hit } from "../lib/api.js" */

const audio = /** @type {HTMLAudioElement} */ (document.getElementById("player"));
/** @type {WeakMap<Element, Player>} */
const players = new WeakMap(); // by play button
/** @type {Player | null} */
let current = null; // has the audio element
let stopAt = Infinity; // seconds: the end of the part that plays

/** A sound's play button, its outline with the position (`track`), and its time, in seconds. */
export class Player {
  /**
   * @param {object} sound
   * @param {string} sound.address
   * @param {string} sound.title
   * @param {number} [sound.duration] 0: not known yet
   * @param {number} [sound.start] where it starts to play
   * @param {string} [sound.waveform] address of the waveform, which is read once it is in view
   * @param {boolean} [sound.selectable] whether parts can be selected, and looked at closely
   */
  constructor({ address, title, duration = 0, start = 0, waveform = "", selectable = false }) {
    this.address = address;
    this.title = title;
    this.start = this.position = start;
    this.message = "";
    this.button = make("button", { type: "button", class: "play", onclick: () => this.toggle() });
    players.set(this.button, this);
    this.outline = new Outline({
      title, selectable,
      onSeek: (seconds, clicked) => {
        this.moveTo(seconds);
        if (clicked && !this.playing) this.play();
      },
    });
    this.outline.rest = start;
    this.outline.setDuration(duration);
    this.track = this.outline.node;
    this.time = make("span", { class: "time" });
    if (current?.address === address && !audio.paused) this.#takeOver();
    this.draw();
    if (waveform) this.#showWaveforms(waveform);
  }

  /** The player of a clip of the library. @param {Hit} clip @param {{selectable?: boolean}} [options] */
  static ofClip({ id, title, duration, start }, { selectable = false } = {}) {
    return new Player({
      address: soundAddress(id), title, duration, start, selectable,
      waveform: clipAddress(id, "/waveform"),
    });
  }

  /** The player that a play button belongs to. @param {Element} button */
  static ofButton(button) {
    return players.get(button);
  }

  get duration() {
    return this.outline.duration;
  }

  /** Read the outline of the whole, and of what is looked at closely. @param {string} address */
  #showWaveforms(address) {
    whenVisible(this.track, async () => {
      try {
        const peaks = await readPeaks(address, () => this.track.isConnected);
        if (peaks) this.outline.show(peaks);
      } catch {
        this.outline.showNone();
      }
    });
    this.track.addEventListener("view", async () => {
      const { view } = this.outline;
      if (!this.outline.isZoomed) return;
      const needed = () => this.outline.view === view && this.track.isConnected;
      const peaks = await readPeaks(address, needed, view).catch(() => null); // the whole is still there
      if (peaks && needed()) this.outline.show(peaks, view);
    });
  }

  /** @param {number} seconds */
  setDuration(seconds) {
    this.outline.setDuration(seconds);
    this.draw();
  }

  get playing() {
    return current === this && !audio.paused;
  }

  toggle() {
    if (this.playing) audio.pause();
    else this.play();
  }

  /** Play from a position, by default from where it is, to an end, by default that of the sound. */
  play(position = this.position, end = Infinity) {
    this.message = "";
    if (current !== this) {
      pause();
      current = this;
      audio.src = this.address;
    }
    this.moveTo(position);
    this.outline.reveal({ start: position, end: Number.isFinite(end) ? end : position });
    stopAt = end;
    audio.play().catch((error) => {
      if (error.name === "AbortError") return; // another sound took its place
      this.message = "cannot be played";
      this.draw();
    });
  }

  /** @param {number} position */
  moveTo(position) {
    this.position = position;
    if (current === this) {
      stopAt = Infinity;
      audio.currentTime = position;
    }
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
    this.button.setAttribute("aria-label", `${this.playing ? "Pause" : "Play"} ${this.title}`);
    this.button.dataset.state = this.playing ? "playing" : "paused";
    this.outline.moveTo(this.position);
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
  stopInTime();
  current.position = audio.currentTime;
  current.draw();
  if (current.playing) requestAnimationFrame(follow);
}

/** Stop at the end of the part that plays. */
function stopInTime() {
  if (!current || audio.paused || audio.currentTime < stopAt) return;
  audio.pause();
  current.moveTo(stopAt);
}

audio.addEventListener("playing", follow);
audio.addEventListener("timeupdate", stopInTime); // also in a tab that is not seen
audio.addEventListener("pause", () => current?.draw());
audio.addEventListener("ended", () => current?.moveTo(current.start));
audio.addEventListener("loadedmetadata", () => {
  if (current && Number.isFinite(audio.duration)) current.outline.setDuration(audio.duration);
});

/** Players of sounds. They share one audio element, so that only one sound plays at a time. */

import { clipAddress, playableAddress, soundAddress } from "../lib/api.js";
import { readsWithKey } from "../lib/api-key.js";
import { make } from "../lib/dom.js";
import { clock } from "../lib/format.js";
import { contains } from "../lib/span.js";
import { Outline } from "./outline.js";
import { audio, isLooping, showPlayback } from "./playback.js";
import { Spectrogram } from "./spectrogram.js";
import { readPeaks, whenVisible } from "./waveforms.js";

/** @import { Hit } from "../lib/api.js" */
/** @import { Span } from "../lib/span.js" */

/** @type {WeakMap<Element, Player>} */
const players = new WeakMap(); // by play button
/** @type {Player | null} */
let current = null; // has the audio element
let stopAt = Infinity; // seconds: the end of the part that plays
/** @type {Span | null} */
let repeated = null; // what plays in a loop; null: the whole sound
let fetched = ""; // the address of what the page has read, to play it

/** A sound's play button, its outline with the position (`track`), and its time, in seconds. */
export class Player {
  #isReading = false;

  /**
   * @param {object} sound
   * @param {string} sound.address
   * @param {string} sound.title
   * @param {number} [sound.duration] 0: not known yet
   * @param {number} [sound.start] where it starts to play
   * @param {string} [sound.waveform] address of the waveform, which is read once it is in view
   * @param {string} [sound.spectrogram] address of the spectrogram, which is read if it is shown
   * @param {number} [sound.sampleRate] Hz
   * @param {boolean} [sound.selectable] whether parts can be selected, and looked at closely
   */
  constructor({
    address, title, duration = 0, start = 0, waveform = "", spectrogram = "", sampleRate = 0, selectable = false,
  }) {
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
    if (spectrogram) new Spectrogram(this.outline, spectrogram, sampleRate);
    this.track.addEventListener("select", () => {
      if (current === this) repeated = this.outline.selection;
    });
  }

  /** The player of a clip of the library. @param {Hit} clip @param {{selectable?: boolean}} [options] */
  static ofClip({ id, title, duration, start, sample_rate: sampleRate }, { selectable = false } = {}) {
    return new Player({
      address: soundAddress(id), title, duration, start, selectable,
      waveform: clipAddress(id, "/waveform"), spectrogram: clipAddress(id, "/spectrogram"), sampleRate,
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
    const { selection } = this.outline;
    if (this.playing) audio.pause();
    else if (isLooping() && selection && !contains(selection, this.position)) this.play(selection.start);
    else this.play();
  }

  /** Play from a position, by default from where it is, to an end, by default that of the sound. */
  play(position = this.position, end = Infinity) {
    this.message = "";
    const isNew = current !== this;
    if (isNew) {
      pause();
      current = this;
    }
    this.moveTo(position);
    this.outline.reveal({ start: position, end: Number.isFinite(end) ? end : position });
    stopAt = end;
    repeated = Number.isFinite(end) ? { start: position, end } : this.outline.selection;
    showPlayback();
    if (isNew && readsWithKey()) this.#fetchAndPlay();
    else if (!this.#isReading) this.#playNow(isNew ? this.address : "");
  }

  /** Play what needs a key to be read. */
  async #fetchAndPlay() {
    this.#isReading = true;
    this.message = "reading…";
    this.draw();
    const address = await playableAddress(this.address).catch(() => "data:,");
    [this.#isReading, this.message] = [false, ""];
    URL.revokeObjectURL(fetched);
    fetched = address === this.address ? "" : address;
    if (current === this) this.#playNow(address);
    else this.draw();
  }

  /** @param {string} address empty: what plays already */
  #playNow(address) {
    if (address) {
      audio.src = address;
      audio.currentTime = this.position;
    }
    audio.play().catch((error) => {
      if (error.name === "AbortError") return; // another sound took its place
      this.message = "cannot be played";
      this.draw();
    });
  }

  /** Play the part that is selected. Returns false if there is none. */
  playPart() {
    const { selection } = this.outline;
    return selection ? this.play(selection.start, selection.end) : false;
  }

  /** @param {number} position */
  moveTo(position) {
    this.position = position;
    if (current === this) {
      stopAt = Infinity;
      if (repeated && position >= repeated.end) repeated = null; // beyond it, the user wants on
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

/** Stop at the end of the part that plays, or begin it again. */
function stopInTime() {
  if (!current || audio.paused) return;
  if (isLooping() && repeated) {
    if (audio.currentTime >= repeated.end) audio.currentTime = repeated.start;
  } else if (audio.currentTime >= stopAt) {
    audio.pause();
    current.moveTo(stopAt);
  }
}

/** The sound is over. */
function finish() {
  if (!isLooping()) return current?.moveTo(current.start);
  audio.currentTime = repeated?.start ?? 0;
  audio.play().catch(() => {}); // a pause may come before it plays
}

audio.addEventListener("playing", follow);
audio.addEventListener("timeupdate", stopInTime); // also in a tab that is not seen
audio.addEventListener("pause", () => current?.draw());
audio.addEventListener("ended", finish);
audio.addEventListener("loadedmetadata", () => {
  if (current && Number.isFinite(audio.duration)) current.outline.setDuration(audio.duration);
});

/** One audio element for the whole page, so that only one sound plays at a time. */

import { clock, find, make } from "./dom.js";

const audio = find("player");
let current = null; // the control that has the audio element

/** A sound's play button, seek bar and time. Times in seconds; play starts at `start`. */
export class Control {
  constructor({ address, title, duration = 0, start = 0 }) {
    Object.assign(this, { address, title, duration, start, position: start });
    this.button = make("button", { type: "button", class: "play", onclick: () => this.toggle() });
    this.seek = make("input", {
      type: "range", class: "seek", min: 0, step: 0.01, "aria-label": `Position in ${title}`,
      oninput: () => this.moveTo(Number(this.seek.value)),
    });
    this.time = make("span", { class: "time" });
    if (current?.address === address && !audio.paused) this.takeOver();
    this.note = "";
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
    this.seek.style.setProperty("--done", `${100 * this.position / this.seek.max}%`);
    this.time.textContent = this.note || this.times();
  }

  times() {
    const short = this.duration < 10;
    const shown = (seconds) => (short ? seconds.toFixed(1) : clock(seconds));
    const whole = this.duration ? shown(this.duration) + (short ? " s" : "") : "";
    return this.position || this.playing ? `${shown(this.position)} / ${whole}` : whole;
  }
}

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

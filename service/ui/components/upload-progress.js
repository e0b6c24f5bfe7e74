/** Uploads with their progress on the page, and a button to cancel them. */

import { ServiceError } from "../lib/api.js";
import { focused, make } from "../lib/dom.js";
import { clock, fileSize } from "../lib/format.js";
import { upload } from "../lib/upload.js";

/** @import { Progress } from "../lib/upload.js" */
/** @import { PickedSound } from "./sound-picker.js" */
/** @import { Player } from "./player.js" */

const SHOWN_AFTER_MS = 400; // shorter waits would only flicker

/** Uploads one sound at a time, and shows the progress in `place`. */
export class Uploader {
  #pending = new AbortController();
  #place;

  /** @param {HTMLElement} place */
  constructor(place) {
    this.#place = place;
  }

  cancel() {
    this.#pending.abort();
  }

  /**
   * The service's answer on a sound. Throws ServiceError, AbortError.
   *
   * @param {string} address
   * @param {PickedSound} sound
   * @param {Record<string, any>} [fields]
   * @param {() => void} [onSlow] called once the progress is shown
   * @returns {Promise<any>}
   */
  async send(address, { file, player }, fields = {}, onSlow = () => {}) {
    this.cancel();
    const pending = (this.#pending = new AbortController());
    const bar = new ProgressBar(player, () => pending.abort());
    const timer = setTimeout(() => {
      this.#place.replaceChildren(bar.node);
      onSlow();
    }, SHOWN_AFTER_MS);
    try {
      return await upload(address, { ...fields, file },
        { signal: pending.signal, onProgress: (progress) => bar.update(progress) });
    } catch (error) {
      throw error instanceof ServiceError ? explainLimits(error) : error;
    } finally {
      clearTimeout(timer);
      if (pending === this.#pending) this.#close();
    }
  }

  #close() {
    const hadFocus = this.#place.contains(focused());
    this.#place.replaceChildren();
    if (hadFocus) this.#place.focus();
  }
}

/** Put the service's limits in the units that the page uses. @param {ServiceError} error */
function explainLimits(error) {
  const [, bytes] = /at most (\d+) bytes/.exec(error.detail) ?? [];
  if (bytes) error.detail = `The limit is ${fileSize(Number(bytes))}. Try a shorter excerpt.`;
  const [, seconds] = /at most ([\d.]+) s of sound/.exec(error.detail) ?? [];
  if (seconds) {
    error.message = "This sound is too long.";
    error.detail = `The limit is ${clock(Number(seconds))}. Try a shorter excerpt.`;
  }
  if (/at least .* of sound/.test(error.detail)) error.message = "This sound is too short.";
  return error;
}

class ProgressBar {
  /** @param {Player} player which learns the duration meanwhile @param {() => void} cancel */
  constructor(player, cancel) {
    this.player = player;
    this.text = make("span", { class: "number" }, "Uploading…");
    this.bar = make("progress", { "aria-label": "Progress" });
    this.node = make("div", { class: "progress" }, this.text, this.bar,
      make("button", { type: "button", class: "plain", onclick: cancel }, "Cancel"));
  }

  /** @param {Progress} progress */
  update({ sent, seconds }) {
    if (sent !== undefined) {
      this.text.textContent = sent < 1 ? `Uploading… ${Math.round(100 * sent)} %` : "Waiting in the queue…";
      if (sent < 1) this.bar.value = sent;
      else this.bar.removeAttribute("value");
    }
    if (seconds === undefined) return;
    const { duration } = this.player;
    const analysed = duration ? Math.min(seconds, duration) : seconds;
    this.text.textContent = `Analysing… ${clock(analysed)}${duration ? ` of ${clock(duration)}` : ""}`;
    if (duration) this.bar.value = analysed / duration;
  }
}

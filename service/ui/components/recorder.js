/** Recording from the microphone, without the processing that browsers apply to speech. */

import { ServiceError } from "../lib/api.js";

const FORMATS = [["audio/webm;codecs=opus", "webm"], ["audio/ogg;codecs=opus", "ogg"],
  ["audio/mp4", "m4a"]];
const MAX_SECONDS = 590; // the service takes ten minutes
const UNPROCESSED = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
const MIN_DB = -60; // shown as level 0
const METER_MS = 50;

/** @type {Record<string, [string, string]>} */
const MESSAGES = {
  NotAllowedError: ["Access to the microphone was denied.",
    "Allow it for this page in the browser's settings, or choose a file."],
  NotFoundError: ["No microphone was found.", "Connect one and try again, or choose a file."],
  NotReadableError: ["The microphone is not available.",
    "Another program may be using it. Try again, or choose a file."],
};

/** One recording. */
export class Recorder {
  #onLevel;
  /** @type {MediaStream | null} */
  #stream = null;
  /** @type {AudioContext | null} */
  #context = null;
  /** @type {MediaRecorder | null} */
  #recorder = null;
  /** @type {Blob[]} */
  #parts = [];
  #startTime = 0;
  #seconds = 0;

  /** @param {(seconds: number, level: number) => void} onLevel called repeatedly, the level from 0 to 1 */
  constructor(onLevel) {
    this.#onLevel = onLevel;
  }

  /** Start. Throws ServiceError.
   * @param {(file: File, seconds: number) => void} onEnd called whatever ends the recording */
  async start(onEnd) {
    if (!navigator.mediaDevices?.getUserMedia || !globalThis.MediaRecorder) {
      throw new ServiceError("The microphone cannot be used here.",
        "Browsers allow recording only over HTTPS or on the same machine. Choose a file instead.");
    }
    const [mimeType, suffix] = FORMATS.find(([type]) => MediaRecorder.isTypeSupported(type)) ?? ["", "webm"];
    try {
      this.#stream = await navigator.mediaDevices.getUserMedia({ audio: UNPROCESSED });
      this.#recorder = new MediaRecorder(this.#stream,
        { audioBitsPerSecond: 128_000, ...(mimeType && { mimeType }) });
    } catch (error) {
      this.#release();
      const { name, message } = /** @type {Error} */ (error);
      const [title, detail] = MESSAGES[name] ?? ["Recording could not start.", message];
      throw new ServiceError(title, detail);
    }
    const recorder = this.#recorder;
    recorder.addEventListener("dataavailable", ({ data }) => this.#parts.push(data));
    recorder.addEventListener("stop", () => onEnd(this.#file(recorder.mimeType, suffix), this.#seconds));
    recorder.start(1000);
    this.#startTime = performance.now();
    this.#measure(this.#stream);
  }

  stop() {
    if (this.#recorder?.state === "recording") this.#recorder.stop();
    this.#release();
  }

  /** Report time and level while it goes on. @param {MediaStream} stream */
  #measure(stream) {
    this.#context = new AudioContext();
    const analyser = this.#context.createAnalyser();
    this.#context.createMediaStreamSource(stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    const report = () => {
      if (this.#recorder?.state !== "recording") return this.#release();
      this.#seconds = (performance.now() - this.#startTime) / 1000;
      analyser.getFloatTimeDomainData(samples);
      const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
      this.#onLevel(this.#seconds, Math.max(0, 1 - 10 * Math.log10(power + 1e-12) / MIN_DB));
      if (this.#seconds >= MAX_SECONDS) return this.stop();
      setTimeout(report, METER_MS); // also while no frame is drawn
    };
    report();
  }

  /** @param {string} mimeType @param {string} suffix */
  #file(mimeType, suffix) {
    const now = new Date();
    /** @param {number} value */
    const two = (value) => String(value).padStart(2, "0");
    const name = `Recording ${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())} `
      + `${two(now.getHours())}.${two(now.getMinutes())}.${two(now.getSeconds())}.${suffix}`;
    return new File(this.#parts, name, { type: mimeType.split(";")[0] });
  }

  #release() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    if (this.#context && this.#context.state !== "closed") this.#context.close();
  }
}

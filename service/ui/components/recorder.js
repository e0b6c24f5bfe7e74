/** Recording from the microphone, as it is: browsers made for talk would take noises out. */

import { Trouble } from "../lib/api.js";

const KINDS = [["audio/webm;codecs=opus", "webm"], ["audio/ogg;codecs=opus", "ogg"],
  ["audio/mp4", "m4a"]];
const MOST_SECONDS = 590; // the service hears ten minutes
const AS_IT_IS = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
const QUIETEST_DB = -60;

const REFUSALS = {
  NotAllowedError: ["The microphone was not allowed.",
    "Allow it for this page in the browser (by the sign beside the address), or choose a file."],
  NotFoundError: ["No microphone was found.", "Connect one and try again, or choose a file."],
  NotReadableError: ["The microphone cannot be used just now.",
    "Another program may be using it. Try again, or choose a file."],
};

/** One recording. `told(seconds, level)` again and again, the level from 0 to 1. */
export class Recorder {
  #told;
  #stream;
  #context;
  #recorder;
  #parts = [];
  #begun = 0;
  #seconds = 0;

  constructor(told) {
    this.#told = told;
  }

  /** Begin. `ended(file, seconds)` is called whatever ends the recording. Throws Trouble. */
  async start(ended) {
    if (!navigator.mediaDevices?.getUserMedia || !globalThis.MediaRecorder) {
      throw new Trouble("The microphone cannot be used here.",
        "Browsers allow it only over https, or on the machine itself. Choose a file instead.");
    }
    const [kind, suffix] = KINDS.find(([each]) => MediaRecorder.isTypeSupported(each)) ?? ["", "webm"];
    try {
      this.#stream = await navigator.mediaDevices.getUserMedia({ audio: AS_IT_IS });
      this.#recorder = new MediaRecorder(this.#stream,
        { audioBitsPerSecond: 128_000, ...(kind && { mimeType: kind }) });
    } catch (error) {
      this.#release();
      throw new Trouble(...REFUSALS[error.name] ?? ["Recording did not begin.", error.message]);
    }
    this.#recorder.addEventListener("dataavailable", ({ data }) => this.#parts.push(data));
    this.#recorder.addEventListener("stop", () => ended(this.#file(suffix), this.#seconds));
    this.#recorder.start(1000);
    this.#begun = performance.now();
    this.#watch();
  }

  stop() {
    if (this.#recorder?.state === "recording") this.#recorder.stop();
    this.#release();
  }

  /** Tell time and level while it goes on. */
  #watch() {
    this.#context = new AudioContext();
    const analyser = this.#context.createAnalyser();
    this.#context.createMediaStreamSource(this.#stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    const look = () => {
      if (this.#recorder.state !== "recording") return this.#release();
      this.#seconds = (performance.now() - this.#begun) / 1000;
      analyser.getFloatTimeDomainData(samples);
      const power = samples.reduce((sum, each) => sum + each * each, 0) / samples.length;
      this.#told(this.#seconds, Math.max(0, 1 - 10 * Math.log10(power + 1e-12) / QUIETEST_DB));
      if (this.#seconds >= MOST_SECONDS) return this.stop();
      setTimeout(look, 50); // also where no frame is drawn
    };
    look();
  }

  #file(suffix) {
    const now = new Date();
    const two = (number) => String(number).padStart(2, "0");
    const name = `Recording ${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())} `
      + `${two(now.getHours())}.${two(now.getMinutes())}.${two(now.getSeconds())}.${suffix}`;
    return new File(this.#parts, name, { type: this.#recorder.mimeType.split(";")[0] });
  }

  #release() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    if (this.#context && this.#context.state !== "closed") this.#context.close();
  }
}

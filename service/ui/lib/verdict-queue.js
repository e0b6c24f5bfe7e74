/** Verdicts on their way to the service: sent together, in order, one call at a time; none is lost. */

/** @import { Verdict } from "./curation-api.js" */

const MAX_SENT = 500; // verdicts of one call

export class VerdictQueue {
  /** @type {Verdict[]} */
  #waiting = [];
  /** @type {Promise<void> | null} */
  #sending = null;

  /**
   * @param {(verdicts: Verdict[]) => Promise<unknown>} post keeps verdicts, or throws
   * @param {(unsaved: number) => void} onChange
   */
  constructor(post, onChange) {
    this.post = post;
    this.onChange = onChange;
  }

  /** How many the service has not confirmed yet. */
  get unsaved() {
    return this.#waiting.length;
  }

  /** @param {Verdict[]} verdicts */
  add(verdicts) {
    this.#waiting.push(...verdicts);
    this.onChange(this.unsaved);
    return this.flush();
  }

  /** Send what waits. Throws what `post` does; the verdicts wait for the next time then. */
  flush() {
    this.#sending ??= this.#send().finally(() => { this.#sending = null; });
    return this.#sending;
  }

  async #send() {
    while (this.#waiting.length) {
      const sent = this.#waiting.slice(0, MAX_SENT);
      await this.post(sent);
      this.#waiting.splice(0, sent.length);
      this.onChange(this.unsaved);
    }
  }
}

/** What is on its way to the service: sent together, in order, one call at a time; nothing is lost. */

const MAX_SENT = 500; // items of one call

/** @template T */
export class SendQueue {
  /** @type {T[]} */
  #waiting = [];
  /** @type {Promise<void> | null} */
  #sending = null;

  /**
   * @param {(items: T[]) => Promise<unknown>} post keeps the items, or throws
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

  /** @param {T[]} items */
  add(items) {
    this.#waiting.push(...items);
    this.onChange(this.unsaved);
    return this.flush();
  }

  /** Send what waits. Throws what `post` does; the items wait for the next time then. */
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

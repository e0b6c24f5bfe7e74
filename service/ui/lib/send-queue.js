/** What is on its way to the service: sent together, in order, one call at a time. Nothing is lost but
 * what the service refuses for good. */

const MAX_SENT = 500; // items of one call
const PASSING = new Set([401, 403, 408, 429]); // refusals that do not mean the items

/** @param {unknown} error */
const isRefusal = (error) => {
  const { status = 0 } = /** @type {{status?: number}} */ (error);
  return status >= 400 && status < 500 && !PASSING.has(status);
};

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

  /** Send what waits. Throws what `post` does; the items wait for the next time then, but for those
   * that are refused, which would keep back all others. */
  flush() {
    this.#sending ??= this.#send().finally(() => { this.#sending = null; });
    return this.#sending;
  }

  async #send() {
    let [size, refusal] = [MAX_SENT, /** @type {unknown} */ (null)];
    while (this.#waiting.length) {
      const sent = this.#waiting.slice(0, size);
      try {
        await this.post(sent);
      } catch (error) {
        if (!isRefusal(error)) throw error;
        size = Math.ceil(sent.length / 2); // to find which of them
        if (sent.length > 1) continue;
        [size, refusal] = [MAX_SENT, error];
      }
      this.#waiting.splice(0, sent.length);
      this.onChange(this.unsaved);
    }
    if (refusal) throw refusal;
  }
}

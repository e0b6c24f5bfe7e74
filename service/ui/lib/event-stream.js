/** Server-sent events, read from a text that grows. */

/** @param {string} text @returns {any} an empty object where it is no JSON */
export function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

/** Reads the complete events of a growing text, each once. */
export class EventStream {
  #position = 0;

  /**
   * @param {string} text all that has arrived so far
   * @returns {{event: string | undefined, data: any}[]} events that were not read before
   */
  read(text) {
    const end = text.lastIndexOf("\r\n\r\n");
    if (end <= this.#position) return [];
    const fresh = text.slice(this.#position, end);
    this.#position = end;
    return fresh.split("\r\n\r\n").filter((block) => block.trim()).map((block) => {
      const lines = block.trim().split("\r\n");
      /** @param {string} name */
      const field = (name) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      return { event: field("event"), data: parseJson(field("data") ?? "") };
    });
  }
}

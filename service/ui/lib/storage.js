/** Texts that the browser stores. Browsers may refuse storage: then nothing is read or written. */

/** @param {"localStorage" | "sessionStorage"} area @param {string} name */
export function readText(area, name) {
  try {
    return globalThis[area].getItem(name);
  } catch {
    return null;
  }
}

/**
 * Write a text, or remove it if it is empty; returns whether the browser allowed it.
 *
 * @param {"localStorage" | "sessionStorage"} area @param {string} name @param {string} text
 */
export function writeText(area, name, text) {
  try {
    if (text) globalThis[area].setItem(name, text);
    else globalThis[area].removeItem(name);
    return true;
  } catch {
    return false;
  }
}

/** Numbers, durations and sizes as text. */

/** A probability, rounded down as on the command line: nothing is certain.
 * @param {number} share from 0 to 1 */
export function percent(share) {
  const whole = Math.min(99, Math.floor(100 * share + 1e-9));
  return whole < 1 ? "< 1 %" : `${whole} %`;
}

/** Seconds as 0:42, or as 1:00:42. @param {number} seconds */
export function clock(seconds) {
  const whole = Math.floor(seconds);
  /** @param {number} value */
  const two = (value) => String(value).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return `${hours ? `${hours}:${two(minutes)}` : minutes}:${two(whole % 60)}`;
}

/** Seconds as 0:42.3. @param {number} seconds */
export function preciseClock(seconds) {
  const tenths = Math.round(10 * seconds);
  return `${clock(tenths / 10)}.${tenths % 10}`;
}

/** A stretch as 1:02–1:05, no shorter than it is. @param {{start: number, end: number}} span */
export const clockRange = ({ start, end }) => `${clock(start)}–${clock(Math.ceil(end))}`;

/** A stretch as 1:02.4–1:05.0. @param {{start: number, end: number}} span */
export const preciseRange = ({ start, end }) => `${preciseClock(start)}–${preciseClock(end)}`;

/** @param {number} bytes */
export function fileSize(bytes) {
  if (bytes < 1e5) return `${Math.ceil(bytes / 1e3)} kB`;
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** 1234567 as 1,234,567. @param {number} value */
export const number = (value) => value.toLocaleString("en");

/** "1 sound", "12 sounds". @param {number} value @param {string} noun */
export const count = (value, noun) => `${number(value)} ${noun}${value === 1 ? "" : "s"}`;

/** Seconds in the unit that suits them. @param {number} seconds */
export function duration(seconds) {
  if (seconds < 100) return count(Math.round(seconds), "second");
  const minutes = Math.round(seconds / 60);
  if (minutes < 100) return count(minutes, "minute");
  return minutes < 6000 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min`
    : count(Math.round(minutes / 60), "hour");
}

/** A text as it is compared: letters composed, in lower case. @param {string} text */
export const key = (text) => text.normalize("NFC").toLowerCase();

/** "rain_on-roof.wav" as "rain on roof", as the service would. @param {string} name */
export const titleOfFile = (name) => name.replace(/\.[^.]*$/, "").replace(/[\s_-]+/g, " ").trim();

/** A tag of several words as the library writes it: "tin roof" as "tin-roof". @param {string} tag */
export const hyphenated = (tag) => tag.replace(/\s+/g, "-");

/** Comma-separated items without spaces around them; empty ones are left out. @param {string} text */
export const splitList = (text) => text.split(",").map((item) => item.trim()).filter(Boolean);

/** @param {string} text a date of ISO 8601 */
export const dateAndTime = (text) => new Date(text).toLocaleString("en", { dateStyle: "medium", timeStyle: "short" });

/** @type {Record<string, string>} */
const MEANS = {
  add: "read from files", edit: "edited", "bulk-edit": "edited with others", undo: "undone", review: "reviewed",
};

/** When, how and by whom an edit was made. @param {{made_at: string, made_by: string, means: string}} edit */
export const editName = ({ made_at: at, made_by: by, means }) =>
  `${dateAndTime(at)}, ${MEANS[means] ?? means}${by ? `, ${by}` : ""}`;

/**
 * Calls of the service. Answers are parsed JSON; every failure is thrown as a ServiceError.
 *
 * Addresses are relative to the page, so that both work under a path of a proxy. Those in answers are
 * not used: they begin with that path where the service knows of it.
 */

import { authorization, currentKey, readsWithKey, setKey, setReadingKey } from "./api-key.js";

/** @import { Kind } from "./query.js" */
/** @import { Span } from "./span.js" */

/**
 * Durations and times are in seconds. The fields are those of the HTTP API that the page reads.
 *
 * @typedef {object} Clip
 * @property {string} id
 * @property {string} title
 * @property {string[]} tags
 * @property {number} duration
 * @property {number} sample_rate Hz
 * @property {string} description
 * @property {string} author
 * @property {string} source
 * @property {string} licence
 * @property {string} recorded a date of ISO 8601, or empty
 * @property {number} damaged seconds that could not be decoded and are left out
 * @property {string} added_at
 * @property {string | null} [twin] id of a clip with the same sound
 *
 * @typedef {object} Ranking what a hit of a search has beside its clip
 * @property {number} start of the best moment; 0 without any
 * @property {ScoredWindow[]} moments where it matches in a sound of several windows, the best first
 * @property {number | null} probability of being right; null where the model does not tell
 * @property {"sure" | "maybe" | "unlikely" | null} confidence the probability in a word
 * @property {number} score
 * @property {number | null} cosine
 * @property {string[]} alike ids of near-duplicates that are hidden
 * @property {{sound_rank: number | null, matched: string[]}} why
 *
 * @typedef {Clip & Partial<Ranking>} Hit
 *
 * @typedef {object} ResultPage
 * @property {Hit[]} [hits] of a search
 * @property {Clip[]} [clips] of a listing
 * @property {string | null} next cursor of the next page
 * @property {number} total
 * @property {number | null} [sure] how many hits of a search are sure; null where the model does not tell
 * @property {string[]} [understood]
 * @property {string[]} [ignored]
 * @property {Record<string, string>} [guessed]
 *
 * @typedef {{start: number, end: number, score: number}} ScoredWindow
 * @typedef {object} TagScore
 * @property {string} tag
 * @property {number} score
 * @property {number | null} lift
 * @property {boolean} suggested
 * @property {ScoredWindow[]} windows
 *
 * @typedef {object} Tagging
 * @property {number} duration
 * @property {number} damaged
 * @property {TagScore[]} tags
 * @property {string[]} known
 * @property {string[]} ignored
 *
 * @typedef {{tag: string, events: ScoredWindow[]}} Lane events in order of time
 * @typedef {{duration: number, tags: Lane[]}} Timeline what is heard in a sound, and when
 *
 * @typedef {{label: string, probability: number}} ClassScore
 * @typedef {{classes: ClassScore[], ignored: string[], notes: string[]}} Classification
 *
 * @typedef {object} MapAnswer
 * @property {"empty" | "making" | "ready"} state
 * @property {boolean} rough
 * @property {number} total
 * @property {number} shown
 * @property {string[]} names tags, the most frequent first
 * @property {{id: string[], title: string[], x: number[], y: number[], tags: number[][]}} points
 *   `tags` holds indices of `names`
 *
 * @typedef {object} LibrarySummary
 * @property {number} clips
 * @property {number} seconds
 * @property {number} generation
 * @property {string} index
 * @property {{tag: string, count: number}[]} tags
 * @property {{licence: string, count: number}[]} licences
 * @property {{source: string, count: number}[]} sources
 * @property {{tags: number, licences: number, sources: number}} different
 * @property {{total: number, latest: {name: string, reason: string}[]}} failures
 * @property {{total: number, first: {id: string, title: string, name: string}[]} | null} missing
 *   sounds whose files are gone; null before they are known
 *
 * @typedef {object} ModelCard
 * @property {string[]} [validation_groups]
 * @property {number} [train_clips]
 * @property {number} [validation_clips]
 * @property {{thresholds?: Record<string, number>, ece?: {after?: number}}} [calibration]
 *
 * @typedef {object} Model
 * @property {string} name
 * @property {number} vocabulary
 * @property {number | null} words null where it reads phrases
 * @property {string | null} sentence_encoder
 * @property {string[]} languages
 * @property {number} window_seconds
 * @property {number} sample_rate Hz
 * @property {number} max_seconds
 * @property {ModelCard} card
 */

/** Asks the user for a key to read with; the page says how. */
export const reading = { askForKey: () => Promise.resolve("") };
/** @type {Promise<void> | null} */
let asking = null;
let declined = 0; // times that the user gave no key

/** What the service takes: seconds of a sound that others are to resemble. */
export const limits = { seconds: 600 };

/** @type {Record<string, string>} */
const MESSAGES = {
  "not-a-sound": "This file could not be read as audio.",
  "too-large": "This file is too large.",
  "unknown-clip": "This sound is no longer in the library.",
  "sound-gone": "The file of this sound is missing.",
  busy: "The service is busy.",
};

/** A failed call: a sentence for the user, details, and whether trying again may help. */
export class ServiceError extends Error {
  status = 0;

  /** @param {string} message @param {string} detail */
  constructor(message, detail, retryable = false) {
    super(message);
    this.detail = detail;
    this.retryable = retryable;
  }
}

/** @param {unknown} error */
export const isAbort = (error) => error instanceof DOMException && error.name === "AbortError";

/** The address of a clip, or of a part of it (`/audio`). @param {string} id @param {string} [part] */
export const clipAddress = (id, part = "") => `v1/clips/${encodeURIComponent(id)}${part}`;

/**
 * A page of clips: the hits of a search, those similar to the clip `id`, a listing, the clips of the
 * collection `id`, or those that the classifier `id` ranks.
 *
 * @param {{kind: Exclude<Kind, "">, id?: string, parameters: URLSearchParams}} query
 * @param {AbortSignal} [signal]
 * @returns {Promise<ResultPage>}
 */
export function getPage({ kind, id = "", parameters }, signal) {
  const name = encodeURIComponent(id);
  const address = {
    search: "v1/search", clips: "v1/clips", similar: clipAddress(id, "/similar"),
    collection: `v1/collections/${name}/clips`, taught: `v1/classifiers/${name}/hits`, asked: `v1/classifiers/${name}/ask`,
  };
  return request(`${address[kind]}?${parameters}`, { signal });
}

/** @param {string} id @param {AbortSignal} [signal] @returns {Promise<Clip>} */
export const getClip = (id, signal) => request(clipAddress(id), { signal });

/** The address of a clip's sound, or of a stretch of it. @param {string} id @param {Span | null} [span] */
export const soundAddress = (id, span = null) =>
  clipAddress(id, span ? `/audio?start=${span.start}&end=${span.end}` : "/audio");

/**
 * @param {string} address
 * @returns {Promise<{peaks: [number, number][]}>} least and greatest value, from -127 to 127
 */
export const getWaveform = (address) => request(address, { priority: "low" });

/** @param {string} id @param {AbortSignal} signal @returns {Promise<Timeline>} */
export const getTimeline = (id, signal) => request(clipAddress(id, "/timeline"), { signal });

/** @returns {Promise<Model>} */
export async function getModel() {
  const model = await request("v1/model");
  limits.seconds = model.max_seconds ?? limits.seconds;
  return model;
}

/** Save feedback on tags, of an uploaded sound (a form) or of a clip (JSON). @param {BodyInit} body */
export const postFeedback = (body) => request("v1/feedback", {
  method: "POST", body,
  headers: typeof body === "string" ? { "Content-Type": "application/json" } : {},
});

/** @param {FormData} body @returns {Promise<Clip>} */
export const postClip = (body) =>
  request("v1/clips", { method: "POST", body });

/** @param {string} id */
export const deleteClip = (id) =>
  request(clipAddress(id), { method: "DELETE" });

/** The map, or what of it is in a collection. @param {string} collection id, or empty
 * @param {AbortSignal} signal @returns {Promise<MapAnswer>} */
export const getMap = (collection, signal) =>
  request(`v1/map${collection && `?${new URLSearchParams({ collection })}`}`, { signal });

/** The library's figures, with at most so many tags. @returns {Promise<LibrarySummary>} */
export const getSummary = (tags = 200) => request(`v1/library?tags=${tags}`);

/** A file of the service, as an address that an element can show, and its headers. Who takes it revokes it.
 * @param {string} address @param {AbortSignal} [signal] */
export async function getFile(address, signal) {
  const answer = await send(address, { signal });
  return { url: URL.createObjectURL(await answer.blob()), headers: answer.headers };
}

/** What plays a sound: its address, or all of it where elements, which send no key, may not read it.
 * @param {string} address */
export const playableAddress = async (address) =>
  readsWithKey() && !address.startsWith("blob:") ? (await getFile(address)).url : address;

/** The JSON of an answer. @param {string} address @param {RequestInit} [options] @returns {Promise<any>} */
async function request(address, options) {
  const answer = await send(address, options);
  return answer.status === 204 ? null : await answer.json();
}

/** A successful answer. Where reading needs a key, the user is asked for one.
 * @param {string} address @param {RequestInit} [options] */
export async function send(address, options = {}) {
  const before = declined;
  for (;;) {
    const key = currentKey();
    const answer = await attempt(address, options);
    if (answer.ok) return answer;
    const error = problem(answer.status, await answer.json().catch(() => ({})), answer.headers.get("Retry-After"));
    if (answer.status !== 401 || (options.method ?? "GET") !== "GET") throw error;
    if (currentKey() !== key) continue; // another call was given one meanwhile
    error.retryable = true;
    if (key) setKey(""); // reading may need none
    else if (declined === before) await (asking ??= askOnce());
    if (declined !== before) throw error;
  }
}

/** @param {string} address @param {RequestInit} options */
async function attempt(address, { headers, ...options }) {
  try {
    return await fetch(address, { ...options, headers: { ...authorization(), ...headers } });
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new ServiceError("The service cannot be reached.",
      "Check that it is running and that you are connected. Your input is still here.", true);
  }
}

/** Ask for a key once for all calls that wait for it. */
async function askOnce() {
  try {
    setReadingKey(await reading.askForKey());
  } catch {
    declined += 1;
  } finally {
    asking = null;
  }
}

/**
 * The error that a refusing answer stands for.
 *
 * @param {number} status
 * @param {{type?: string, detail?: string}} body problem details (RFC 9457)
 * @param {string | null} [retryAfter] seconds
 * @returns {ServiceError}
 */
export function problem(status, body, retryAfter = null) {
  return Object.assign(describe(status, body, retryAfter), { status });
}

/** @type {typeof problem} */
function describe(status, { type = "", detail = "" }, retryAfter) {
  if (status === 429) {
    return new ServiceError(MESSAGES.busy, `Please try again in ${Number(retryAfter) || 1} s.`, true);
  }
  const reason = detail.replace(/^(file|q|labels): /, "");
  const message = MESSAGES[type.split("/").pop() ?? ""];
  if (message) return new ServiceError(message, reason);
  const fallback = reason || `Status ${status}.`;
  if (status >= 500) return new ServiceError("The service has a problem.", fallback, true);
  return new ServiceError("The service rejected this request.", fallback);
}

/** Calls that change what the library says of its sounds, and its collections. */

import { clipAddress, send } from "./api.js";

/** @import { Clip } from "./api.js" */

/**
 * Fields of the HTTP API that the page reads. `number`: of an edit, to undo it; null where nothing
 * changed.
 *
 * @typedef {{number: number | null, changed: number, unchanged: number}} Edited
 * @typedef {{number: number | null, changed: number, conflicts: number}} Undone
 *
 * @typedef {object} PastEdit
 * @property {number} number
 * @property {string} made_at
 * @property {string} made_by name of a key, or empty
 * @property {string} means
 * @property {number} clips that it changed
 * @property {number | null} undone_by
 *
 * @typedef {object} ClipChange
 * @property {number} edit
 * @property {string} made_at
 * @property {string} made_by name of a key, or empty
 * @property {string} means
 * @property {Record<string, string | string[]>} before
 * @property {Record<string, string | string[]>} after
 *
 * @typedef {object} BulkEdit which clips, and how to change them
 * @property {string[]} [ids]
 * @property {Record<string, unknown>} [where]
 * @property {Record<string, unknown>} [set]
 * @property {string[]} [add_tags]
 * @property {string[]} [remove_tags]
 *
 * @typedef {{min: number | null, max: number | null, count: number}} RangeCount
 * @typedef {object} Facets how many sounds have each value
 * @property {number} total
 * @property {{tag: string, count: number}[]} tags
 * @property {{licence: string, count: number}[]} licences
 * @property {{source: string, count: number}[]} sources
 * @property {{category: string, count: number}[]} categories
 * @property {{sample_rate: number, count: number}[]} sample_rates Hz
 * @property {{channels: number, count: number}[]} channels
 * @property {RangeCount[]} durations seconds
 * @property {RangeCount[]} loudness LUFS
 * @property {{month: string, count: number}[]} added
 * @property {{collection: string, name: string, count: number}[]} collections
 * @property {{classifier: string, name: string, count: number}[] | null} classifiers null: not counted
 *
 * @typedef {object} Collection
 * @property {string} id
 * @property {string} name
 * @property {string} description
 * @property {Record<string, unknown> | null} follows the search whose sounds it has
 * @property {number | null} clips
 */

export const FAVOURITES = "favourites";

/** A call with a JSON body. @param {string} method @param {string} address @param {unknown} [body]
 * @param {Record<string, string>} [headers] @returns {Promise<any>} */
async function call(method, address, body, headers = {}) {
  const answer = await send(address, {
    method, headers: { ...(body !== undefined && { "Content-Type": "application/json" }), ...headers },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  return answer.status === 204 ? null : answer.json();
}

/** A clip as it is now, and the tag of this state.
 * @param {string} id @returns {Promise<{clip: Clip, tag: string}>} */
export async function getEditable(id) {
  const answer = await send(clipAddress(id), { cache: "no-store" });
  return { clip: await answer.json(), tag: answer.headers.get("ETag") ?? "" };
}

/** @param {string} id @param {Record<string, unknown>} changes @param {string} tag of the state that
 * they are made to @returns {Promise<Clip>} */
export const editClip = (id, changes, tag) => call("PATCH", clipAddress(id), changes, { "If-Match": tag });

/** @param {BulkEdit} body @returns {Promise<Edited>} */
export const editClips = (body) => call("PATCH", "v1/clips", body);

/** @param {number} number @returns {Promise<Undone>} */
export const undoEdit = (number) => call("POST", `v1/edits/${number}/undo`);

/** The last edits. @param {number} k @returns {Promise<{edits: PastEdit[]}>} */
export const getEdits = (k) => call("GET", `v1/edits?k=${k}`);

/** @param {string} id @returns {Promise<{added_at: string, changes: ClipChange[]}>} */
export const getHistory = (id) => call("GET", clipAddress(id, "/history"));

/** How many sounds a query finds, and how many with each value.
 * @param {URLSearchParams} parameters @param {AbortSignal} [signal] @returns {Promise<Facets>} */
export const getFacets = async (parameters, signal) =>
  (await send(`v1/facets?${parameters}`, { signal })).json();

const collectionAddress = (/** @type {string} */ id) => `v1/collections/${encodeURIComponent(id)}`;

/** @returns {Promise<{collections: Collection[]}>} */
export const getCollections = () => call("GET", "v1/collections");

/** @param {string} id @returns {Promise<Collection>} */
export const getCollection = (id) => call("GET", collectionAddress(id));

/** @param {{name: string, clips?: string[], follows?: Record<string, unknown>}} body
 * @returns {Promise<Collection>} */
export const postCollection = (body) => call("POST", "v1/collections", body);

/** @param {string} id @param {{name?: string, description?: string}} changes @returns {Promise<Collection>} */
export const editCollection = (id, changes) => call("PATCH", collectionAddress(id), changes);

/** @param {string} id */
export const deleteCollection = (id) => call("DELETE", collectionAddress(id));

/** @param {string} id
 * @param {{add?: string[], remove?: string[], move?: string[], before?: string | null}} changes
 * @returns {Promise<Collection>} */
export const changeCollection = (id, changes) => call("PATCH", `${collectionAddress(id)}/clips`, changes);

/** The address of a collection as a file. @param {string} id @param {"zip" | "csv" | "parquet"} format */
export const exportAddress = (id, format) => `${collectionAddress(id)}/export?format=${format}`;

/**
 * @typedef {{state: "never" | "working" | "stopped" | "ready", done: number, total: number}} Suggesting
 * @typedef {{tag: string, waiting: number, accepted: number, rejected: number}} TagReview
 * @typedef {{tag: string, probability: number, starts: number[]}} SuggestedTag `starts`: seconds
 * @typedef {{clip: Clip, tags: SuggestedTag[]}} SuggestedSound
 * @typedef {{clip: string, tag: string, verdict: "accept" | "reject" | "undecided"}} Verdict
 */

/** Compute suggestions for all sounds. @returns {Promise<Suggesting>} */
export const beginSuggestions = () => call("POST", "v1/suggestions");

/** @returns {Promise<Suggesting>} */
export const getSuggesting = () => call("GET", "v1/suggestions/progress");

/** @returns {Promise<{tags: TagReview[]}>} */
export const getTagReviews = () => call("GET", "v1/suggestions/tags");

/** Get suggestions that nobody else gets for a while.
 * @param {{suggested: string, order: string, k: number, reviewer: string}} body
 * @returns {Promise<{sounds: SuggestedSound[], seconds: number | null}>} */
export const leaseSuggestions = (body) => call("POST", "v1/suggestions/leases", body);

/** @param {{verdicts: Verdict[], reviewer: string}} body
 * @returns {Promise<{accepted: number, rejected: number, gone: string[]}>} */
export const postVerdicts = (body) => call("POST", "v1/suggestions/verdicts", body);

/**
 * @typedef {object} Classifier a sound that people teach
 * @property {string} id
 * @property {string} name
 * @property {string} tag that it suggests
 * @property {number} positives labels that say that it is the sound
 * @property {number} negatives
 * @property {number} version 0: not fitted yet
 * @property {number | null} average_precision of labels left out
 *
 * @typedef {{clip: string, is: boolean | null, start?: number | null, end?: number | null}} Label
 *   null: take back; seconds
 */

const classifierAddress = (/** @type {string} */ id) => `v1/classifiers/${encodeURIComponent(id)}`;

/** @returns {Promise<{classifiers: Classifier[]}>} */
export const getClassifiers = () => call("GET", "v1/classifiers");

/** @param {string} id @returns {Promise<Classifier>} */
export const getClassifier = (id) => call("GET", classifierAddress(id));

/** @param {{name: string}} body @returns {Promise<Classifier>} */
export const postClassifier = (body) => call("POST", "v1/classifiers", body);

/** @param {string} id @param {{name?: string, tag?: string}} changes @returns {Promise<Classifier>} */
export const editClassifier = (id, changes) => call("PATCH", classifierAddress(id), changes);

/** @param {string} id */
export const deleteClassifier = (id) => call("DELETE", classifierAddress(id));

/** @param {string} id @returns {Promise<{labels: (Label & {title: string})[]}>} */
export const getLabels = (id) => call("GET", `${classifierAddress(id)}/labels`);

/** @param {string} id @param {Label[]} labels @returns {Promise<Classifier>} */
export const postLabels = (id, labels) => call("POST", `${classifierAddress(id)}/labels`, { labels });

/** The address of a taught sound as a file. @param {string} id */
export const classifierFile = (id) => `${classifierAddress(id)}/export`;

/**
 * A search as one object, and its three forms: the page's address, the call of the service, and the
 * text of the search box. Nothing here needs the page.
 *
 * @typedef {object} Query
 * @property {string} words
 * @property {string[]} tags that a clip must have
 * @property {string[]} excluded tags that it must not have
 * @property {string} like id of the clip that others are to resemble
 * @property {string} start seconds, of the part of that clip that they are to resemble
 * @property {string} end seconds; both empty: the whole of it
 * @property {string} minDuration seconds, as typed
 * @property {string} maxDuration seconds, as typed
 * @property {string[]} licences
 * @property {string[]} sources
 * @property {string[]} categories of the Universal Category System
 * @property {string[]} sampleRates Hz
 * @property {string[]} channels
 * @property {string[]} collections ids
 * @property {string[]} classifiers ids, of sounds that people have taught
 * @property {string} minLoudness LUFS
 * @property {string} maxLoudness LUFS
 * @property {string} addedAfter a date
 * @property {string} addedBefore a date
 * @property {string} taught id of a classifier that ranks the sounds
 * @property {string} asked not empty: the sounds that it asks about
 * @property {string} sort a key of SORTS
 * @property {boolean} distinct hide near-duplicates
 *
 * @typedef {"search" | "similar" | "clips" | "collection" | "taught" | "asked" | ""} Kind
 *
 * @typedef {object} Call
 * @property {Kind} kind empty: there is nothing to ask for
 * @property {string} id of the clip, the collection or the classifier
 * @property {URLSearchParams} parameters
 *
 * @typedef {Pick<Query, "words" | "tags" | "excluded">} Terms
 */

import { key } from "./format.js";

/** @import { Span } from "./span.js" */

/** @type {Query} */
const EMPTY = {
  words: "", tags: [], excluded: [], like: "", start: "", end: "", minDuration: "", maxDuration: "",
  licences: [], sources: [], categories: [], sampleRates: [], channels: [], collections: [], classifiers: [],
  minLoudness: "", maxLoudness: "", addedAfter: "", addedBefore: "", taught: "", asked: "", sort: "", distinct: false,
};
/** Fields with several values, and the parameters of the address and of the service. */
const LISTS = /** @type {const} */ ([
  ["tags", "tag"], ["excluded", "no_tag"], ["licences", "licence"], ["sources", "source"],
  ["categories", "category"], ["sampleRates", "sample_rate"], ["channels", "channels"],
  ["collections", "collection"], ["classifiers", "classifier"]]);
/** Conditions with one value, and the parameters of the address and of the service. */
const BOUNDS = /** @type {const} */ ([
  ["minDuration", "min_duration"], ["maxDuration", "max_duration"], ["minLoudness", "min_loudness"],
  ["maxLoudness", "max_loudness"], ["addedAfter", "added_after"], ["addedBefore", "added_before"]]);
/** Fields with one value, and the parameters of the address. */
const SINGLE = /** @type {const} */ ([
  ["words", "q"], ["like", "like"], ["start", "start"], ["end", "end"], ["taught", "taught"], ["asked", "asked"], ...BOUNDS,
  ["sort", "sort"]]);

/** @type {Record<string, string>} */
export const SORTS = {
  "": "Best match first", newest: "Newest first", oldest: "Oldest first", shortest: "Shortest first",
  longest: "Longest first", loudest: "Loudest first", quietest: "Quietest first", title: "By title",
};

/** The query of an address; words with a sign become tags. @param {string} search */
export function fromAddress(search) {
  const given = new URLSearchParams(search);
  const query = { ...EMPTY, distinct: given.get("distinct") === "true" };
  for (const [name, parameter] of SINGLE) query[name] = (given.get(parameter) ?? "").trim();
  for (const [name, parameter] of LISTS) query[name] = given.getAll(parameter).filter(Boolean);
  if (!(query.sort in SORTS)) query.sort = "";
  if (!partOf(query)) query.start = query.end = "";
  return addTerms(query, parseTerms(query.words));
}

/** The part of a clip that others are to resemble; null: the whole, or none.
 * @param {Query} query @returns {Span | null} */
export function partOf({ like, start, end }) {
  if (!like || !start || !end) return null;
  const span = { start: Number(start), end: Number(end) };
  return span.start >= 0 && span.start < span.end && Number.isFinite(span.end) ? span : null;
}

/** The address of a query, relative to the page. @param {Query} query */
export function toAddress(query) {
  const given = new URLSearchParams();
  for (const [name, parameter] of SINGLE) {
    const isOfPart = name === "start" || name === "end";
    if (query[name] && (!isOfPart || partOf(query))) given.set(parameter, query[name]);
  }
  for (const [name, parameter] of LISTS) for (const value of query[name]) given.append(parameter, value);
  if (query.distinct) given.set("distinct", "true");
  return given.size ? `?${given}` : "./";
}

/** The call of the service that answers a query. @param {Query} query
 * @param {boolean} [isTyping] the last of the words may be half typed @returns {Call} */
export function toCall(query, isTyping = false) {
  const { included, excluded } = splitSigns(query);
  const parameters = new URLSearchParams();
  /** @type {Kind} */
  let kind = query.taught ? query.asked ? "asked" : "taught" : query.like ? "similar" : included.length ? "search" : "clips";
  // The service knows `-wind`, but not `+rain`: that becomes a word and a filter. What is being typed
  // comes last.
  if (kind === "search") {
    parameters.set("q", [...excluded.map((word) => `-${word}`), ...included].join(" "));
    if (isTyping) parameters.set("typing", "true");
  }
  if (kind === "asked") return { kind, id: query.taught, parameters };
  addFilters(parameters, { ...query, excluded: kind === "search" ? [] : excluded });
  if (query.sort && (kind === "search" || kind === "clips")) parameters.set("sort", query.sort);
  const part = partOf(query);
  if (part) {
    parameters.set("start", String(part.start));
    parameters.set("end", String(part.end));
  }
  if (kind === "clips" && query.collections.length === 1 && parameters.size === 1) {
    kind = "collection"; // in its own order
    parameters.delete("collection");
    return { kind, id: query.collections[0], parameters };
  }
  const any = parameters.size > 0 || query.like !== "" || query.taught !== "";
  if (query.distinct && (kind === "search" || kind === "similar")) parameters.set("distinct", "true");
  return { kind: any ? kind : "", id: query.taught || query.like, parameters };
}

/** @param {URLSearchParams} parameters @param {Query} query */
function addFilters(parameters, query) {
  for (const [name, parameter] of LISTS) for (const value of query[name]) parameters.append(parameter, value);
  for (const [name, parameter] of BOUNDS) if (query[name]) parameters.set(parameter, query[name]);
}

/** Whether all that a query finds can be chosen by its words and conditions: what is only ranked, by
 * likeness to a sound, is the whole library. @param {Query} query */
export const canBeChosen = (query) => /^(search|clips|collection)$/.test(toCall(query).kind);

/** The words and conditions of a query as parameters, without what ranks or orders it.
 * @param {Query} query */
export function conditionsOf(query) {
  const { kind, id, parameters } = toCall({ ...query, sort: "", distinct: false, like: "", taught: "" });
  if (kind === "collection") parameters.append("collection", id);
  return parameters;
}

/** The words and conditions of a query, as a body that changes or keeps what it finds.
 * @param {Query} query @returns {Record<string, unknown>} */
export function choiceOf(query) {
  const parameters = conditionsOf(query);
  /** @type {Record<string, unknown>} */
  const choice = {};
  for (const name of new Set(parameters.keys())) {
    const values = parameters.getAll(name);
    if (name === "sample_rate" || name === "channels") choice[name] = values.map(Number);
    else if (LISTS.some(([, list]) => list === name)) choice[name] = values;
    else choice[name] = /^m(in|ax)_/.test(name) ? Number(values[0]) : values[0];
  }
  return choice;
}

/** Words and tags to include and to exclude, also where a sign is still being typed. @param {Terms} terms */
function splitSigns({ words, tags, excluded }) {
  const typed = words.split(/\s+/);
  const plain = typed.filter((word) => !word.startsWith("-")).map((word) => word.replace(/^\+/, ""));
  const minus = typed.filter((word) => word.startsWith("-")).map((word) => word.slice(1));
  return {
    included: [...tags, ...plain].filter(Boolean), excluded: [...minus, ...excluded].filter(Boolean),
  };
}

/**
 * Split a text into words with a sign, which are tags, and the rest. The word at the caret is still
 * being typed, and stays in the rest.
 *
 * @param {string} text
 * @param {number | null} [caret] -1: none
 * @returns {Terms}
 */
export function parseTerms(text, caret = -1) {
  /** @type {string[]} */
  const tags = [];
  /** @type {string[]} */
  const excluded = [];
  const at = caret ?? -1;
  const words = text.replace(/(^|\s)([+-])([\p{L}\p{N}]\S*)(?=\s|$)/gu, (match, space, sign, word, place) => {
    if (at > place && at <= place + match.length) return match;
    (sign === "+" ? tags : excluded).push(key(word));
    return space;
  });
  const found = tags.length + excluded.length > 0;
  return { words: found ? words.replace(/\s+/g, " ").trimStart() : text, tags, excluded };
}

/** The query with other words, and more tags; a tag has the sign that it was given last.
 * @param {Query} query @param {Terms} terms @returns {Query} */
export function addTerms(query, { words, tags, excluded }) {
  /** @param {string[]} list @param {string[]} others */
  const without = (list, others) => {
    const keys = new Set(others.map(key));
    return list.filter((tag) => !keys.has(key(tag)) && keys.add(key(tag)));
  };
  return {
    ...query,
    words: words.trim(),
    tags: without([...query.tags, ...tags], excluded),
    excluded: without([...query.excluded, ...excluded], tags),
  };
}

/**
 * The query with a tag required (`+`), excluded (`-`), or neither.
 *
 * @param {Query} query @param {string} tag @param {string} sign @returns {Query}
 */
export function withTag(query, tag, sign) {
  /** @param {string[]} list */
  const others = (list) => list.filter((other) => key(other) !== key(tag));
  const words = sign && key(query.words) === key(tag) ? "" : query.words; // not twice
  return {
    ...query, words, tags: [...others(query.tags), ...(sign === "+" ? [tag] : [])],
    excluded: [...others(query.excluded), ...(sign === "-" ? [tag] : [])],
  };
}

/** A search for these words alone; filters other than tags stay.
 * @param {Query} query @param {string} words @returns {Query} */
export const forWords = (query, words) => ({ ...query, words, tags: [], excluded: [], like: "", taught: "", asked: "" });

/** A search for clips similar to this one, or to a part of it; filters stay.
 * @param {Query} query @param {string} id @param {Span | null} [part] @returns {Query} */
export const forSimilar = (query, id, part = null) => ({
  ...query, words: "", like: id, taught: "", asked: "", sort: "", start: part ? String(part.start) : "",
  end: part ? String(part.end) : "",
});

/** The words or the clip alone. @param {Query} query @returns {Query} */
export const withoutFilters = ({ words, like, start, end, taught, asked }) =>
  ({ ...EMPTY, words, like, start, end, taught, asked });

/** @param {Query} query */
export const hasValidDurations = ({ minDuration, maxDuration }) =>
  !minDuration || !maxDuration || Number(minDuration) <= Number(maxDuration);

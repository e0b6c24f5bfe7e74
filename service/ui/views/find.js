/** The find view: hits while the user types. The address holds the whole query. */

import * as collectionBar from "../components/collection-bar.js";
import * as curate from "../components/curate.js";
import * as filters from "../components/filters.js";
import { hitItem } from "../components/hit-item.js";
import { stopDetached } from "../components/player.js";
import * as shortcuts from "../components/shortcuts.js";
import * as teach from "../components/teach.js";
import { getClip, getPage, isAbort } from "../lib/api.js";
import { find, findInput, focused, make, showError } from "../lib/dom.js";
import { key, preciseRange } from "../lib/format.js";
import {
  SORTS, addTerms, fromAddress, parseTerms, partOf, toAddress, toCall, withTag, withoutFilters,
} from "../lib/query.js";
import * as welcome from "./welcome.js";

/** @import { Clip, Hit, ResultPage } from "../lib/api.js" */
/** @import { Call, Query } from "../lib/query.js" */
/** @typedef {Call & {kind: Exclude<Call["kind"], "">}} PageCall a call for hits or clips */

/**
 * @typedef {object} Results
 * @property {ResultPage} answer the first page
 * @property {PageCall} call that it answers
 * @property {string} [likeTitle] of the clip that the hits resemble
 * @property {Hit[]} hits of all pages so far
 * @property {Set<string>} ids of these
 * @property {string | null} next cursor
 * @property {number} limit hits that scrolling alone may load
 */

const PAGE_SIZE = 20;
const ASKED = 10; // sounds that one is asked about at once
const SCROLL_LIMIT = 100; // hits that scrolling alone loads, so that the page's end can be reached
const PAUSE_MS = 60; // searches wait for keys that come faster
const SLOW_MS = 300; // after which waiting is announced
const SAVE_MS = 200;
const MAX_CACHED = 20; // results to go back to

const box = findInput("query");
const resultList = find("results");
const status = find("find-status");
const problems = find("find-problem");
const moreButton = find("more-results");
const line = make("li", { class: "less-likely" }, "Less likely from here");
/** @type {Map<string, Results>} */
const cache = new Map(); // by address
let query = fromAddress("");
let isTyping = false; // the last of its words may be half typed
/** @type {string | null} */
let requested = null; // the address whose results are shown or awaited
/** @type {Results | null} */
let shown = null;
let pending = new AbortController();
let isLoading = false; // the next page
let searchTimer = 0;
let slowTimer = 0;
let scrollTimer = 0;
let lastInput = 0; // ms

const endVisibility = new IntersectionObserver((entries) => {
  if (entries.at(-1)?.isIntersecting) loadMore(false);
}, { rootMargin: "600px" });

export const focus = () => (location.search ? "find-status" : "query");

/** Listen to the search box, the results, and scrolling. @param {(address: string) => void} go */
export function start(go) {
  filters.start(apply);
  shortcuts.start();
  curate.start({ query: () => query, refresh: readAgain, changed: showChanged, moved: showMoved, go });
  collectionBar.start(() => showQuery(shown?.likeTitle), go);
  teach.start(go, showTaught);
  box.addEventListener("input", (event) => {
    if (event instanceof InputEvent && event.isComposing) return;
    stop();
    readBox(box.selectionStart);
    isTyping = box.selectionStart === box.value.length && !/\s$/.test(box.value);
    searchTimer = setTimeout(() => submit(true), event.timeStamp - lastInput > PAUSE_MS ? 0 : PAUSE_MS);
    lastInput = event.timeStamp;
  });
  box.addEventListener("change", () => {
    if (readBox()) submit(false);
    endDraft();
  });
  find("search").addEventListener("submit", (event) => {
    event.preventDefault();
    readBox();
    requested = null;
    cache.delete(toAddress(query)); // search again
    submit(false);
  });
  resultList.addEventListener("click", chooseTag);
  moreButton.addEventListener("click", () => loadMore(true));
  endVisibility.observe(moreButton);
  addEventListener("scroll", () => { scrollTimer ||= setTimeout(saveScroll, SAVE_MS); }, { passive: true });
  addEventListener("click", saveScroll, { capture: true }); // it may lead elsewhere
  addEventListener("online", () => problems.childElementCount && run());
}

/** Show the results of the address. */
export function show() {
  clearTimeout(searchTimer);
  query = fromAddress(location.search);
  isTyping = false;
  if (query.words !== box.value.trim()) box.value = query.words;
  run();
  if (history.state?.y !== undefined) scrollTo(0, history.state.y);
}

/** Abandon the search that is in progress or planned. */
function stop() {
  pending.abort();
  clearTimeout(searchTimer);
  clearTimeout(slowTimer);
}

/** Read the search box into the query. Words with a sign become chips; returns whether some did.
 * @param {number | null} [caret] */
function readBox(caret = -1) {
  const terms = parseTerms(box.value, caret);
  const changed = terms.words !== box.value;
  if (changed) box.value = caret === -1 ? terms.words.trim() : terms.words;
  const like = terms.words.trim() ? "" : query.like; // words replace the clip
  query = addTerms({ ...query, like }, terms);
  return changed;
}

/** @param {boolean} isDraft the user is still typing */
function submit(isDraft) {
  clearTimeout(searchTimer);
  if (!isDraft) isTyping = false;
  saveAddress(isDraft);
  run();
}

/** Read the results again, as many as are shown: the library has changed. */
function readAgain() {
  cache.clear();
  requested = null;
  if (!find("find").hidden) run(shown?.hits.length); // else once it is shown
}

/** Show what is taught, and its buttons on the results. */
function showTaught() {
  showQuery(shown?.likeTitle);
  if (!shown) return;
  const { hits, call } = shown;
  if (call.kind === "asked" && hits.length && teach.areLabelled(hits)) return askForMore();
  const isDrawn = resultList.querySelector(".this-is-it") !== null;
  if (isDrawn !== (teach.current() !== null)) showResults(shown);
}

/** Show the next sounds that a taught one asks about, from the top. */
function askForMore() {
  history.replaceState({ ...history.state, y: 0 }, "");
  cache.clear();
  requested = null;
  run();
}

/** Show a clip with other metadata among the results. @param {Clip} clip */
function showChanged(clip) {
  const place = shown?.hits.findIndex(({ id }) => id === clip.id) ?? -1;
  if (!shown || place < 0) return;
  shown.hits[place] = { ...shown.hits[place], ...clip };
  const [item] = listItems(shown, [shown.hits[place]]);
  resultList.querySelectorAll(".result")[place]?.replaceWith(item);
  stopDetached();
  listed(shown);
}

/** Show a clip before another. @param {string} id @param {string} before */
function showMoved(id, before) {
  if (!shown) return;
  const placeOf = (/** @type {string} */ of) => shown?.hits.findIndex((hit) => hit.id === of) ?? -1;
  if (placeOf(id) < 0 || placeOf(before) < 0) return;
  const items = resultList.querySelectorAll(".result");
  items[placeOf(before)].before(items[placeOf(id)]);
  const [hit] = shown.hits.splice(placeOf(id), 1);
  shown.hits.splice(placeOf(before), 0, hit);
  listed(shown);
}

/** @param {Pick<Results, "hits" | "next">} results */
const listed = ({ hits, next }) => curate.listed(hits, next !== null);

/** Search for something other than the text of the box. @param {Query} newQuery */
function apply(newQuery) {
  query = newQuery;
  box.value = query.words;
  submit(false);
}

/** Put the query into the address. Further typing replaces the history entry of a draft.
 * @param {boolean} isDraft */
function saveAddress(isDraft) {
  const address = toAddress(query);
  if (new URL(address, location.href).href !== location.href) {
    const method = history.state?.draft ? "replaceState" : "pushState";
    history[method]({ draft: isDraft }, "", address);
  }
  if (!isDraft) endDraft();
}

function endDraft() {
  if (history.state?.draft) history.replaceState({ draft: false }, "");
}

/** Save the scroll position in the history, to return to it. */
function saveScroll() {
  clearTimeout(scrollTimer);
  scrollTimer = 0;
  if (find("find").hidden || pending.signal.aborted || requested !== toAddress(query)) return;
  if (shown && scrollY !== (history.state?.y ?? 0)) {
    history.replaceState({ ...history.state, y: scrollY }, "");
  }
}

/** @param {number} [again] hits to read although they are shown */
async function run(again = 0) {
  const address = toAddress(query);
  const { kind, id, parameters } = toCall(query, isTyping);
  find("to-find", HTMLAnchorElement).href = address;
  showQuery(cache.get(address)?.likeTitle);
  if (address === requested && !again && !pending.signal.aborted) return;
  stop();
  const { signal } = (pending = new AbortController());
  requested = address;
  document.body.classList.toggle("searching", kind !== "");
  if (!kind) {
    showResults(null);
    return welcome.show();
  }
  const cached = cache.get(address);
  if (history.state?.y !== undefined && cached) return showResults(cached);
  resultList.setAttribute("aria-busy", "true");
  slowTimer = setTimeout(() => showStatus(true, "Searching…"), SLOW_MS);
  const call = { kind, id, parameters };
  const size = kind === "asked" ? ASKED : Math.min(Math.max(PAGE_SIZE, again), SCROLL_LIMIT);
  try {
    const [answer, clip] = await Promise.all([
      getPage(withPage(call, null, size), signal),
      query.like ? getClip(query.like, signal) : null]);
    showResults(newResults(call, answer, clip));
    if (!again && !find("find").hidden) scrollTo(0, history.state?.y ?? 0);
  } catch (error) {
    if (!isAbort(error)) showProblem(error);
  }
}

/** Show the filters and the page's title. @param {string} [likeTitle] of the clip `like` */
function showQuery(likeTitle) {
  filters.show(query, likeTitle);
  const isSet = query.collections.length > 0 || query.taught !== "";
  document.body.classList.toggle("alike", query.like !== "" || isSet);
  const collection = query.collections.length === 1 ? query.collections[0] : "";
  collectionBar.show(collection);
  curate.showTools();
  teach.show(query);
  const words = [query.words, ...query.tags, ...query.excluded.map((tag) => `−${tag}`)];
  const part = partOf(query);
  const like = `Sounds like ${part ? `${preciseRange(part)} of ` : ""}${likeTitle ? `“${likeTitle}”` : "this one"}`;
  const set = collection ? collectionBar.current()?.name ?? "Collection"
    : query.taught ? `Taught: ${teach.current()?.name ?? "…"}` : "";
  find("find-title").textContent = query.like ? like : set || "Find sounds with words";
  const name = query.like ? like : words.filter(Boolean).join(" ") || set;
  if (!find("find").hidden) document.title = name ? `${name} – Earmark` : "Earmark";
}

/** The call for a page. @param {PageCall} call @param {string | null} [cursor] null: the first
 * @param {number} [size] hits */
function withPage({ kind, id, parameters }, cursor = null, size = PAGE_SIZE) {
  const paged = new URLSearchParams(parameters);
  paged.set("k", String(size));
  if (cursor) paged.set("cursor", cursor);
  return { kind, id, parameters: paged };
}

/** @param {PageCall} call @param {ResultPage} answer @param {Clip | null} clip that the hits resemble */
function newResults(call, answer, clip) {
  const address = requested ?? "";
  /** @type {Results} */
  const results = {
    call, answer, likeTitle: clip?.title, hits: [], ids: new Set(), next: null, limit: SCROLL_LIMIT,
  };
  addPage(results, answer);
  cache.delete(address);
  cache.set(address, results);
  for (const oldest of cache.keys()) {
    if (cache.size <= MAX_CACHED) break;
    cache.delete(oldest);
  }
  return results;
}

/** Add a page, and return its new hits: a library that has changed may list a clip again.
 * @param {Results} results @param {ResultPage} page */
function addPage(results, { hits, clips, next }) {
  const added = (hits ?? clips ?? []).filter(({ id }) => !results.ids.has(id));
  for (const { id } of added) results.ids.add(id);
  results.hits.push(...added);
  results.next = next;
  return added;
}

/** Show results in place of those on the page; null: the start. @param {Results | null} results */
function showResults(results) {
  const active = resultList.contains(focused()) ? focused() : null;
  clearTimeout(slowTimer);
  shown = results;
  problems.replaceChildren();
  find("results-problem").replaceChildren();
  const editors = curate.openEditors();
  resultList.replaceChildren(...(results ? listItems(results, results.hits) : []));
  for (const [id, editor] of editors) curate.itemOf(id)?.append(editor);
  resultList.removeAttribute("aria-busy");
  stopDetached();
  drawLine();
  listed(results ?? { hits: [], next: null });
  if (results?.likeTitle && !find("find").hidden) showQuery(results.likeTitle);
  if (results) summarise(results);
  else showStatus(false);
  showEnd();
  if (active) (active.isConnected ? active : status).focus({ preventScroll: true });
}

/** @param {Results} results @param {Hit[]} hits of these */
function listItems({ answer, hits: all }, hits) {
  const matched = new Set([...(answer.understood ?? []), ...query.tags,
    ...all.flatMap((hit) => hit.why?.matched ?? [])].map(key));
  return hits.map((hit) => hitItem(hit, query, matched, curate.toolsOf));
}

/** @param {Hit} hit */
const isUnlikely = ({ confidence }) => confidence === "unlikely";

/** Draw a line above the hits at the end that are all unlikely, where the best come first. */
function drawLine() {
  const hits = shown?.hits ?? [];
  const first = hits.findLastIndex((hit) => !isUnlikely(hit)) + 1;
  line.remove();
  if ((query.sort && !query.like) || first === 0 || first === hits.length) return;
  resultList.querySelectorAll(".result")[first]?.before(line);
}

/** @param {boolean} busy @param {...(Node | string)} parts */
function showStatus(busy, ...parts) {
  status.replaceChildren(...parts);
  status.classList.toggle("busy", busy);
}

/** How many hits, for which words, in which order. @param {Results} results */
function summarise({ answer, hits, next }) {
  const { guessed = {}, ignored = [], sure } = answer;
  const words = [query.words, ...query.tags].filter(Boolean).join(" ");
  const forWhat = !query.like && words ? ` for “${words}”` : "";
  const count = `${hits.length}${next ? "+" : ""} ${hits.length === 1 && !next ? "sound" : "sounds"}`;
  const isSure = sure == null ? "" : `, ${sure || "none"} sure`;
  /** @type {(Node | string)[]} */
  const parts = [hits.length ? `${count}${forWhat}${isSure}, ${order(words)}. ` : `Nothing found${forWhat}. `];
  if (hits.length && !query.asked && hits.every(isUnlikely)) {
    parts[0] = `The nearest ${count}${forWhat}, ${order(words)}. `;
    parts.unshift(make("strong", {}, "Nothing here sounds like that. "));
  }
  for (const [word, meant] of Object.entries(guessed)) {
    parts.push(make("strong", {}, `Searched for “${meant}” instead of “${word}”. `));
  }
  if (ignored.length) parts.push(make("strong", {}, `Ignored: ${ignored.join(", ")}. `));
  if (!hits.length) parts.push(...advice());
  showStatus(false, ...parts);
}

/** @param {string} words */
function order(words) {
  if (query.like) return "most similar first";
  if (query.asked) return "of which it would learn most";
  if (query.taught) return "the surest first";
  if (toCall(query).kind === "collection") return "in the collection’s order";
  return words || query.sort ? SORTS[query.sort].toLowerCase() : "newest first";
}

/** What may help where nothing was found. */
function advice() {
  if (query.asked) return ["It asks about no other sound."];
  const simpler = withoutFilters(query);
  if (toAddress(simpler) === toAddress(query)) return [" Try other or fewer words."];
  return [" ", make("button", {
    type: "button", class: "link", onclick: () => apply(query.words || query.like ? simpler
      : { ...simpler, words: query.tags.join(" ") }),
  }, "Search without tags and filters")];
}

/** @param {unknown} error */
function showProblem(error) {
  showResults(null);
  requested = null;
  showError(problems, error, () => run());
}

function showEnd() {
  moreButton.hidden = !shown?.next;
  find("results-note").textContent = shown && shown.hits.length > PAGE_SIZE && !shown.next
    ? `All ${shown.hits.length} sounds are shown.` : "";
}

/** Load the next page. @param {boolean} clicked else it was scrolled to, which loads up to a limit */
async function loadMore(clicked) {
  if (!shown?.next || isLoading || requested !== toAddress(query)) return;
  const results = shown;
  if (clicked) results.limit = Math.max(results.limit, results.hits.length + SCROLL_LIMIT);
  if (results.hits.length >= results.limit) return;
  isLoading = true;
  find("results-problem").replaceChildren();
  try {
    const page = await getPage(withPage(results.call, results.next), pending.signal);
    const added = addPage(results, page);
    if (results === shown) append(results, added, clicked);
  } catch (error) {
    if (!isAbort(error)) {
      showError(find("results-problem"), error, () => loadMore(true));
      moreButton.hidden = true;
    }
  } finally {
    isLoading = false;
  }
  endVisibility.unobserve(moreButton); // and look again, as it may still be near
  endVisibility.observe(moreButton);
}

/** @param {Results} results @param {Hit[]} hits @param {boolean} moveFocus */
function append(results, hits, moveFocus) {
  const added = listItems(results, hits);
  resultList.append(...added);
  drawLine();
  listed(results);
  showEnd();
  if (results.next) find("results-note").textContent = `${results.hits.length} sounds so far.`;
  if (moveFocus) added[0]?.querySelector("button")?.focus();
}

/** Require or exclude the tag whose sign was clicked. @param {Event} event */
function chooseTag({ target }) {
  if (!(target instanceof HTMLElement)) return;
  const { sign, tag } = target.dataset;
  if (!sign || !tag) return;
  apply(withTag(query, tag, sign));
  scrollTo(0, 0);
}

/** Words → sounds: results while one types, all that is asked for kept in the address. */

import * as api from "../lib/api.js";
import { complain, find, make } from "../lib/dom.js";
import * as filters from "../components/filters.js";
import * as keys from "../components/shortcuts.js";
import { stopOrphan } from "../components/player.js";
import { SORTS, asCall, cleared, fromAddress, signed, taken, toAddress, withTag } from "../lib/query.js";
import { result } from "../components/hit-item.js";
import * as welcome from "./welcome.js";

const PAGE = 20;
const AT_ONCE = 100; // sounds that appear by scrolling alone, so that the page's end can be reached
const PAUSE_MS = 60; // keys that come faster are waited for
const SLOW_MS = 300; // from which waiting is told
const SAVE_MS = 200;
const KEPT = 20; // answers to go back to

const box = find("query");
const results = find("results");
const found = find("found");
const problem = find("find-problem");
const more = find("more");
const kept = new Map(); // answers by address
let query = fromAddress("");
let asked = null; // the address whose answer is shown or awaited
let shown = null; // {answer, hits, next, title, ids, budget} of the results on the page
let pending = new AbortController();
let loading = false; // the next page
let timer = 0;
let slow = 0;
let placing = 0;
let typed = 0; // when, in ms

const near = new IntersectionObserver((entries) => {
  if (entries.at(-1).isIntersecting) loadMore(false);
}, { rootMargin: "600px" });

export const focus = () => (location.search ? "found" : "query");

/** Listen to the search box, the results, and how far one has scrolled. */
export function start() {
  filters.start((wanted) => apply(wanted));
  keys.start();
  box.addEventListener("input", (event) => {
    if (event.isComposing) return;
    stop();
    take(box.selectionStart);
    timer = setTimeout(() => submit(true), event.timeStamp - typed > PAUSE_MS ? 0 : PAUSE_MS);
    typed = event.timeStamp;
  });
  box.addEventListener("change", () => {
    if (take()) submit(false);
    settle();
  });
  find("search").addEventListener("submit", (event) => {
    event.preventDefault();
    take();
    asked = null;
    kept.delete(toAddress(query)); // asked anew
    submit(false);
  });
  results.addEventListener("click", chooseTag);
  more.addEventListener("click", () => loadMore(true));
  near.observe(more);
  addEventListener("scroll", () => { placing ||= setTimeout(savePlace, SAVE_MS); }, { passive: true });
  addEventListener("click", savePlace, { capture: true }); // it may lead elsewhere
  addEventListener("online", () => problem.childElementCount && run());
}

/** Show what the address asks for. */
export function show() {
  clearTimeout(timer);
  query = fromAddress(location.search);
  if (query.words !== box.value.trim()) box.value = query.words;
  run();
  if (history.state?.y !== undefined) scrollTo(0, history.state.y);
}

/** Let go of what is being asked. */
function stop() {
  pending.abort();
  clearTimeout(timer);
  clearTimeout(slow);
}

/** Take what is typed; words with a sign become chips, and whether some did is told. */
function take(caret = -1) {
  const text = taken(box.value, caret);
  const some = text.words !== box.value;
  if (some) box.value = caret < 0 ? text.words.trim() : text.words;
  const like = text.words.trim() ? "" : query.like; // words are asked for instead of a sound
  query = signed({ ...query, like }, text);
  return some;
}

function submit(draft) {
  clearTimeout(timer);
  remember(draft);
  run();
}

/** Search for something else than what is typed. */
function apply(wanted) {
  query = wanted;
  box.value = query.words;
  submit(false);
}

/** Keep the query in the address. A draft's entry in the history is replaced as one types on. */
function remember(draft) {
  const address = toAddress(query);
  if (new URL(address, location).href !== location.href) {
    const keep = history.state?.draft ? "replaceState" : "pushState";
    history[keep]({ draft }, "", address);
  }
  if (!draft) settle();
}

function settle() {
  if (history.state?.draft) history.replaceState({ draft: false }, "");
}

/** Keep how far one has scrolled, to come back to it. */
function savePlace() {
  clearTimeout(placing);
  placing = 0;
  if (find("find").hidden || pending.signal.aborted || asked !== toAddress(query)) return;
  if (shown && scrollY !== (history.state?.y ?? 0)) {
    history.replaceState({ ...history.state, y: scrollY }, "");
  }
}

async function run() {
  const address = toAddress(query);
  const call = asCall(query);
  find("to-find").href = address;
  name(kept.get(address)?.title);
  if (address === asked && !pending.signal.aborted) return;
  stop();
  const { signal } = (pending = new AbortController());
  asked = address;
  document.body.classList.toggle("searching", call.kind !== "");
  if (!call.kind) {
    put(null);
    return welcome.show();
  }
  if (history.state?.y !== undefined && kept.has(address)) return put(kept.get(address));
  results.setAttribute("aria-busy", "true");
  slow = setTimeout(() => say(true, "Searching…"), SLOW_MS);
  try {
    const [answer, clip] = await Promise.all([
      page(call, null, signal), query.like && api.clip(query.like, signal)]);
    put(begun(answer, clip));
    if (!find("find").hidden) scrollTo(0, history.state?.y ?? 0);
  } catch (error) {
    if (error.name !== "AbortError") showProblem(error);
  }
}

/** Name the page after what is asked for. */
function name(likeTitle) {
  filters.show(query, likeTitle);
  document.body.classList.toggle("alike", query.like !== "");
  const words = [query.words, ...query.tags, ...query.without.map((tag) => `−${tag}`)];
  const like = likeTitle ? `Sounds like “${likeTitle}”` : "Sounds like this one";
  find("find-title").textContent = query.like ? like : "Find sounds with words";
  const title = query.like ? like : words.filter(Boolean).join(" ");
  document.title = title ? `${title} – Earmark` : "Earmark";
}

function page({ kind, id, given }, cursor, signal) {
  const wanted = new URLSearchParams(given);
  wanted.set("k", PAGE);
  if (cursor) wanted.set("cursor", cursor);
  return api.sounds({ kind, id, given: wanted }, signal);
}

function begun(answer, clip) {
  const list = { answer, title: clip?.title, hits: [], ids: new Set(), budget: AT_ONCE };
  grow(list, answer);
  kept.delete(asked);
  kept.set(asked, list);
  if (kept.size > KEPT) kept.delete(kept.keys().next().value);
  return list;
}

/** Add a page to a list, and return what is new of it: a changed library may show a sound again. */
function grow(list, { hits, clips, next }) {
  const fresh = (hits ?? clips).filter(({ id }) => !list.ids.has(id));
  for (const { id } of fresh) list.ids.add(id);
  list.hits.push(...fresh);
  list.next = next;
  return fresh;
}

/** Put a list on the page in place of what is there; null: the start. */
function put(list) {
  const lost = results.contains(document.activeElement);
  clearTimeout(slow);
  shown = list;
  problem.replaceChildren();
  find("rest-problem").replaceChildren();
  results.replaceChildren(...(list ? items(list.hits) : []));
  results.removeAttribute("aria-busy");
  stopOrphan();
  if (list?.title && !find("find").hidden) name(list.title);
  if (list) tell(list);
  else say(false);
  showRest();
  if (lost) found.focus({ preventScroll: true });
}

function items(hits) {
  const { understood = [] } = shown.answer;
  const known = new Set([...understood, ...query.tags,
    ...shown.hits.flatMap((hit) => hit.why?.matched ?? [])]);
  return hits.map((hit) => result(hit, query, known));
}

function say(busy, ...parts) {
  found.replaceChildren(...parts);
  found.classList.toggle("busy", busy);
}

function tell({ answer, hits, next }) {
  const { guessed = {}, ignored = [] } = answer;
  const words = [query.words, ...query.tags].filter(Boolean).join(" ");
  const what = !query.like && words ? ` for “${words}”` : "";
  const count = `${hits.length}${next ? "+" : ""} ${hits.length === 1 && !next ? "sound" : "sounds"}`;
  const parts = [hits.length ? `${count}${what}, ${order(words)}. ` : `Nothing found${what}. `];
  for (const [word, meant] of Object.entries(guessed)) {
    parts.push(make("strong", {}, `“${word}” taken for “${meant}”. `));
  }
  if (ignored.length) parts.push(make("strong", {}, `Not used: ${ignored.join(", ")}. `));
  if (!hits.length) parts.push(...advice());
  say(false, ...parts);
}

function order(words) {
  if (query.like) return "most alike first";
  return words ? SORTS[query.sort].toLowerCase() : "newest first";
}

/** What may help where nothing was found. */
function advice() {
  const fewer = cleared(query);
  if (toAddress(fewer) === toAddress(query)) return [" Try other or fewer words."];
  return [" ", make("button", {
    type: "button", class: "link", onclick: () => apply(query.words || query.like ? fewer
      : { ...fewer, words: query.tags.join(" ") }),
  }, "Search without tags and filters")];
}

function showProblem(error) {
  put(null);
  asked = null;
  complain(problem, error, () => run());
}

function showRest() {
  more.hidden = !shown?.next;
  find("rest").textContent = shown?.hits.length > PAGE && !shown.next
    ? `These are all ${shown.hits.length} sounds.` : "";
}

/** The next page: by scrolling up to a limit, by the button (`wanted`) always. */
async function loadMore(wanted) {
  if (!shown?.next || loading || asked !== toAddress(query)) return;
  const list = shown;
  if (wanted) list.budget = Math.max(list.budget, list.hits.length + AT_ONCE);
  if (list.hits.length >= list.budget) return;
  loading = true;
  find("rest-problem").replaceChildren();
  try {
    const fresh = grow(list, await page(asCall(query), list.next, pending.signal));
    if (list === shown) append(fresh, wanted);
  } catch (error) {
    if (error.name !== "AbortError") {
      complain(find("rest-problem"), error, () => loadMore(true));
      more.hidden = true;
    }
  } finally {
    loading = false;
  }
  near.unobserve(more); // and look anew, where it may be near again
  near.observe(more);
}

function append(hits, focused) {
  const added = items(hits);
  results.append(...added);
  showRest();
  if (shown.next) find("rest").textContent = `${shown.hits.length} sounds so far.`;
  if (focused) added[0]?.querySelector(".play").focus();
}

function chooseTag({ target }) {
  const { sign, tag } = target.dataset;
  if (!sign) return;
  apply(withTag(query, tag, sign));
  scrollTo(0, 0);
}

/** The review view: suggested tags of the library's sounds, tag by tag or sound by sound. */

import { withKey } from "../components/api-key-form.js";
import { Player, stopDetached } from "../components/player.js";
import { usesSingleKeys } from "../components/shortcuts.js";
import { isAbort } from "../lib/api.js";
import {
  beginSuggestions, getSuggesting, getTagReviews, leaseSuggestions, postVerdicts,
} from "../lib/curation-api.js";
import { find, findButton, focused, make, meter, showError } from "../lib/dom.js";
import { clock, count, key, number, percent } from "../lib/format.js";
import { SendQueue } from "../lib/send-queue.js";
import { readText, writeText } from "../lib/storage.js";

/** @import { SuggestedSound, SuggestedTag, TagReview, Verdict } from "../lib/curation-api.js" */

/** @typedef {{clip: string, tag: string, node: HTMLElement, player: Player, start: number, verdict: string}} Row */

export const title = "Review";
export const focus = "review-title";

const PAGE_SIZE = 20; // sounds
const MAX_TAGS = 60; // listed
const POLL_MS = 1000;
const STORED_AS = "reviewer"; // this tab, also after it is loaded again: what it has leased stays its own
const REVIEWER = readText("sessionStorage", STORED_AS) ?? crypto.randomUUID?.() ?? String(Math.random()).slice(2);

/** @type {Row[]} */
let rows = [];
/** @type {Verdict[][]} */
const given = []; // to take back, the last first
let tag = ""; // under review; empty: sound by sound
let order = "surest";
let isOver = false; // nothing waits any more
let leasedUntil = 0; // ms: others may get what is shown from then on
let pollTimer = 0;
let loads = 0;
/** @type {Promise<unknown>} */
let leasing = Promise.resolve();
/** @type {TagReview[]} */
let reviews = [];

const queue = new SendQueue(
  (verdicts) => withKey(find("review-problem"), () => postVerdicts({ verdicts, reviewer: REVIEWER })),
  showSaved);

/** What each key does. @type {Record<string, () => void>} */
const KEYS = {
  a: () => decideHere("accept"), x: () => decideHere("reject"), s: () => move(1),
  A: () => decideAll("accept"), X: () => decideAll("reject"), z: takeBack,
};

/** Listen to the keys and buttons. */
export function start() {
  writeText("sessionStorage", STORED_AS, REVIEWER);
  document.addEventListener("keydown", handleKey, { capture: true }); // before those of all views
  find("suggest-all").addEventListener("click", suggestAll);
  find("accept-page").addEventListener("click", () => decideAll("accept"));
  find("reject-page").addEventListener("click", () => decideAll("reject"));
  find("take-back").addEventListener("click", takeBack);
  find("review-filter").addEventListener("input", showTags);
  const select = find("review-order", HTMLSelectElement);
  select.addEventListener("change", () => {
    order = select.value;
    load();
  });
  find("review-by-sound").addEventListener("click", () => choose(""));
  addEventListener("beforeunload", (event) => {
    if (queue.unsaved) event.preventDefault(); // the browser asks
  });
}

/** Show how far the review is, and what is to be reviewed: anew where others may have it meanwhile. */
export async function show() {
  if (Date.now() > leasedUntil) rows = [];
  await showProgress();
}

async function showProgress() {
  clearTimeout(pollTimer);
  try {
    const { state, done, total } = await getSuggesting();
    const never = state === "never" || state === "stopped";
    find("suggest-all").hidden = !never;
    find("review-parts").hidden = state === "never";
    find("review-state").textContent = never
      ? "The model can listen to all sounds of the library and suggest tags for them, which you then accept or reject."
      : state === "working" ? `Suggesting tags: ${number(done)} of ${count(total, "sound")}.` : "";
    if (find("review").hidden) return; // the user has gone on
    if (state === "working") pollTimer = setTimeout(showProgress, POLL_MS);
    if (state === "never") return;
    await readTags();
    if (!rows.length) await load();
  } catch (error) {
    if (!isAbort(error)) showError(find("review-problem"), error, showProgress);
  }
}

export function hide() {
  clearTimeout(pollTimer);
}

async function suggestAll() {
  try {
    await withKey(find("review-problem"), beginSuggestions);
    await show();
  } catch (error) {
    if (!isAbort(error)) showError(find("review-problem"), error, suggestAll);
  }
}

// The tags

async function readTags() {
  reviews = (await getTagReviews()).tags;
  showTags();
}

function showTags() {
  const part = key(find("review-filter", HTMLInputElement).value.trim());
  const listed = reviews.filter((one) => key(one.tag).includes(part)).slice(0, MAX_TAGS);
  const list = find("review-tags");
  const active = list.contains(focused()) ? focused()?.dataset.tag : undefined;
  list.replaceChildren(...listed.map((one) => {
    const judged = one.accepted + one.rejected;
    return make("li", {}, make("button", {
      type: "button", class: "review-tag", "data-tag": one.tag, "aria-pressed": String(one.tag === tag), onclick: () => choose(one.tag),
    }, make("span", {}, one.tag), make("span", { class: "number" },
      one.waiting ? `${number(one.waiting)} waiting` : "done", judged ? `, ${number(judged)} reviewed` : "")));
  }));
  const again = active !== undefined && list.querySelector(`[data-tag="${CSS.escape(active)}"]`);
  if (again instanceof HTMLElement) again.focus();
  find("review-by-sound").setAttribute("aria-pressed", String(tag === ""));
}

/** Review a tag, or sound by sound. @param {string} chosen */
function choose(chosen) {
  tag = chosen;
  showTags();
  load(true);
}

// The suggestions

/** Lease the next suggestions and show them. @param {boolean} [moves] the focus to the first of them */
async function load(moves = false) {
  const attempt = (loads += 1);
  try {
    await queue.flush();
    await leasing; // one after the other: the service keeps the last one's
    if (attempt !== loads) return;
    const body = { suggested: tag, order, k: PAGE_SIZE, reviewer: REVIEWER };
    const asked = withKey(find("review-problem"), () => leaseSuggestions(body));
    leasing = asked.catch(() => {});
    const { sounds, seconds } = await asked;
    if (attempt !== loads) return;
    find("review-problem").replaceChildren();
    isOver = !sounds.length;
    leasedUntil = Date.now() + 1000 * (seconds ?? 0);
    const here = focused();
    const isReviewing = here === document.body || ["suggestions", "review-actions"].some((id) => find(id).contains(here));
    showSounds(sounds);
    if (isOver && (moves || isReviewing)) find("review-title").focus();
    else if (moves || isReviewing) focusOn(rows[0]);
    readTags().catch(() => {}); // the figures of the list, which may wait
  } catch (error) {
    if (!isAbort(error)) showError(find("review-problem"), error, () => load(moves));
  }
}

/** @param {SuggestedSound[]} sounds */
function showSounds(sounds) {
  rows = [];
  find("suggestions").replaceChildren(...sounds.map(soundItem));
  stopDetached();
  find("review-actions").hidden = isOver;
  const what = tag ? `that may be “${tag}”` : "with suggested tags";
  find("review-note").textContent = isOver
    ? `No sound ${what} waits for you.` : `${count(sounds.length, "sound")} ${what}, ${order === "surest" ? "the surest" : "the least sure"} first.`;
}

/** @param {SuggestedSound} sound */
function soundItem({ clip, tags }) {
  const player = Player.ofClip({ ...clip, start: tags[0]?.starts[0] ?? 0 });
  return make("li", { class: "result" },
    player.button,
    make("div", { class: "head" }, make("h2", {}, clip.title)),
    make("div", { class: "player" }, player.track, player.time),
    make("ul", { class: "suggested-tags" }, ...tags.map((one) => tagRow(clip.id, one, player))),
    make("p", { class: "small" }, make("span", {}, clip.tags.length ? `Tags: ${clip.tags.join(", ")}` : "No tags yet")));
}

/** @param {string} clip @param {SuggestedTag} suggested @param {Player} player */
function tagRow(clip, { tag: name, probability, starts }, player) {
  const node = make("li", { class: "suggestion" });
  /** @type {Row} */
  const row = { clip, tag: name, node, player, start: starts[0] ?? 0, verdict: "" };
  rows.push(row);
  const button = (/** @type {"accept" | "reject"} */ verdict, /** @type {string} */ look, /** @type {string} */ label) =>
    make("button", {
      type: "button", class: `decide ${look}`, "aria-pressed": "false", "aria-label": `${label} ${name}: ${player.title}`,
      onclick: () => decide([row], row.verdict === verdict ? "undecided" : verdict),
    });
  node.append(
    make("span", { class: "decisions" }, button("accept", "accepted", "Accept"), button("reject", "rejected", "Reject")),
    make("span", { class: "chip" }, name),
    make("span", { class: "figures" }, meter(probability, percent(probability), `Probability of ${name}`),
      make("span", { class: "number" }, percent(probability))),
    make("span", { class: "moments" }, ...starts.slice(0, 3).map((from) => make("button", {
      type: "button", class: "link", "aria-label": `Play from ${clock(from)}`, onclick: () => player.play(from),
    }, clock(from)))));
  return node;
}

// Verdicts

/** Give a verdict on rows, and keep it. @param {Row[]} judged @param {Verdict["verdict"]} verdict */
function decide(judged, verdict) {
  if (!judged.length) return;
  given.push(judged.map((row) => ({ clip: row.clip, tag: row.tag, verdict: row.verdict === "" ? "undecided" : /** @type {any} */ (row.verdict) })));
  const verdicts = judged.map(({ clip, tag: name }) => ({ clip, tag: name, verdict }));
  mark(judged, verdict);
  save(verdicts);
  if (isDone()) load();
  else if (verdict !== "undecided") focusOn(rows.find((row, place) => !row.verdict && place > rows.indexOf(judged[0])) ?? rows.find((row) => !row.verdict));
}

/** @param {Row[]} judged @param {Verdict["verdict"]} verdict */
function mark(judged, verdict) {
  for (const row of judged) {
    row.verdict = verdict === "undecided" ? "" : verdict;
    row.node.dataset.choice = { accept: "accepted", reject: "rejected", undecided: "" }[verdict];
    const [accept, reject] = row.node.querySelectorAll(".decide");
    accept.setAttribute("aria-pressed", String(verdict === "accept"));
    reject.setAttribute("aria-pressed", String(verdict === "reject"));
  }
}

/** @param {Verdict[]} verdicts */
function save(verdicts) {
  queue.add(verdicts).then(() => find("review-problem").replaceChildren(), (error) => {
    if (!isAbort(error)) showError(find("review-problem"), error, () => save([]));
    showSaved(queue.unsaved);
  });
}

/** Take the last verdict back. */
function takeBack() {
  const last = given.pop();
  if (!last) return;
  for (const { clip, tag: name, verdict } of last) {
    const row = rows.find((one) => one.clip === clip && one.tag === name);
    if (row) mark([row], verdict);
  }
  save(last);
  const row = rows.find((one) => last.some(({ clip, tag: name }) => one.clip === clip && one.tag === name));
  if (row) focusOn(row);
  else load(); // it waits again
  showSaved(queue.unsaved);
}

/** @param {number} unsaved */
function showSaved(unsaved) {
  const total = given.reduce((sum, verdicts) => sum + verdicts.length, 0);
  find("review-saved").textContent = unsaved ? `${count(unsaved, "verdict")} not saved yet` : total ? `${count(total, "verdict")} given, all saved` : "";
  findButton("take-back").disabled = !given.length;
}

/** The row with the focus, else the first without a verdict. */
const currentRow = () => rows.find(({ node }) => node.contains(focused()))
  ?? rows.find(({ node }) => node.closest(".result")?.contains(focused()))
  ?? rows.find(({ verdict }) => !verdict);

/** Whether all on the page have a verdict: others come in their place. */
const isDone = () => rows.every(({ verdict }) => verdict);

/** @param {"accept" | "reject"} verdict */
function decideHere(verdict) {
  const row = currentRow();
  if (row && !isDone()) decide([row], verdict);
}

/** @param {"accept" | "reject"} verdict */
function decideAll(verdict) {
  decide(rows.filter((row) => !row.verdict), verdict);
}

/** @param {number} offset */
function move(offset) {
  const row = currentRow();
  focusOn(rows[(row ? rows.indexOf(row) : -1) + offset]);
}

/** @param {Row | undefined} row */
function focusOn(row) {
  const button = row?.node.querySelector("button");
  if (!row || !button) return;
  button.focus(/** @type {FocusOptions} */ ({ focusVisible: true }));
  row.node.scrollIntoView({ block: "nearest" });
}

/** @param {KeyboardEvent} event */
function handleKey(event) {
  const { target, shiftKey } = event;
  if (find("review").hidden || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  const name = shiftKey ? event.key.toUpperCase() : event.key.toLowerCase(); // whatever Caps Lock says
  if (!usesSingleKeys() || !Object.hasOwn(KEYS, name) || document.querySelector("dialog[open]")) return;
  if (target instanceof Element && target.closest("input, select, textarea")) return;
  event.preventDefault();
  if (!event.repeat || name === "s") KEYS[name](); // a key held down judges once
}

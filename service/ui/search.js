/** Words → sounds: results while one types, the query kept in the address. */

import * as api from "./api.js";
import { bar, clock, complain, find, make, searchAddress, searchLink } from "./dom.js";
import { Control, stopOrphan } from "./player.js";

const MOST = 20;
const PAUSE_MS = 200;

const box = find("query");
const results = find("results");
const found = find("found");
const problem = find("find-problem");
let asked = null; // the query whose answer is shown or awaited
let pending = new AbortController();
let timer = 0;

export const focus = () => (location.search ? "found" : "query");

/** Listen to the search box. */
export function start() {
  box.addEventListener("input", () => {
    pending.abort();
    clearTimeout(timer);
    timer = setTimeout(() => submit(true), PAUSE_MS);
  });
  box.addEventListener("change", settle);
  find("search").addEventListener("submit", (event) => {
    event.preventDefault();
    asked = null;
    submit(false);
  });
}

/** Show the query that the address holds. */
export function show() {
  const query = queryOfAddress();
  clearTimeout(timer);
  if (query !== words()) box.value = query;
  run(query);
}

const words = () => box.value.trim();
const queryOfAddress = () => (new URLSearchParams(location.search).get("q") ?? "").trim();

function submit(draft) {
  clearTimeout(timer);
  remember(words(), draft);
  run(words());
}

/** Keep the query in the address. A draft's entry in the history is replaced as one types on. */
function remember(query, draft) {
  if (query !== queryOfAddress()) {
    const keep = history.state?.draft ? "replaceState" : "pushState";
    history[keep]({ draft }, "", searchAddress(query));
  }
  if (!draft) settle();
}

function settle() {
  if (history.state?.draft) history.replaceState({ draft: false }, "");
}

async function run(query) {
  document.title = query ? `${query} – Earmark` : "Earmark";
  find("to-find").href = searchAddress(query);
  if (query === asked && !pending.signal.aborted) return;
  pending.abort();
  pending = new AbortController();
  asked = query;
  document.body.classList.toggle("searching", query !== "");
  if (!query) return put([]);
  results.setAttribute("aria-busy", "true");
  try {
    showAnswer(query, await api.search(query, MOST, pending.signal));
  } catch (error) {
    if (error.name !== "AbortError") showProblem(error);
  }
}

function showAnswer(query, { hits, understood, guessed, ignored }) {
  const known = new Set([...understood, ...hits.flatMap((hit) => hit.why.matched)]);
  put(hits.map((hit) => result(hit, known)));
  const count = hits.length === 1 ? "1 sound" : `${hits.length} sounds`;
  found.append(hits.length ? `${count} for “${query}”, best first. ` : `Nothing found for “${query}”. `);
  if (ignored.length) found.append(make("strong", {}, `Not used: ${ignored.join(", ")}.`));
  if (!hits.length) found.append(" Try other or fewer words.");
}

function showProblem(error) {
  asked = null;
  put([]);
  complain(problem, error, () => run(words()));
}

function put(items) {
  problem.replaceChildren();
  found.replaceChildren();
  results.replaceChildren(...items);
  results.removeAttribute("aria-busy");
  stopOrphan();
}

function result(hit, known) {
  const control = new Control({
    ...hit, address: hit.audio, waveform: hit.audio.replace(/audio$/, "waveform"),
  });
  return make("li", { class: "result" },
    control.button,
    make("div", { class: "head" },
      make("h2", {}, hit.title),
      hit.cosine !== null && similarity(hit.cosine)),
    make("div", { class: "player" }, control.track, control.time,
      hit.start > 0 && make("button", {
        type: "button", class: "moment", onclick: () => control.play(hit.start),
      }, `match at ${clock(hit.start)}`)),
    hit.tags.length && make("ul", { class: "chips", "aria-label": "Tags" },
      ...hit.tags.map((tag) =>
        make("li", {}, searchLink(tag, known.has(tag) ? "chip known" : "chip")))),
    make("p", { class: "small" },
      make("span", {}, reasons(hit.why)),
      make("span", {}, ...origin(hit))));
}

function similarity(cosine) {
  const text = cosine.toFixed(2);
  return make("span", { class: "similarity", title: "Similarity of sound and words (cosine)" },
    bar(cosine, text, "Similarity"), make("span", { class: "number" }, text));
}

function reasons({ sound_rank: soundRank, matched }) {
  const parts = [];
  if (soundRank) parts.push(`by sound #${soundRank}`);
  if (matched.length) parts.push(`by words: ${matched.join(", ")}`);
  return parts.join(" · ");
}

/** Author, source and licence; addresses become links. */
function origin({ author, source, licence }) {
  return [author, source, licence].filter(Boolean).flatMap((part, number) => {
    const isAddress = /^https?:\/\//.test(part);
    const shown = isAddress
      ? make("a", { href: part, rel: "noreferrer" }, part.replace(/^https?:\/\/(www\.)?/, ""))
      : part;
    return number ? [" · ", shown] : [shown];
  });
}

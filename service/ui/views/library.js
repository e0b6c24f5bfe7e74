/** The library view: its figures, recent additions, tags, failures, and the model. */

import { withKey } from "../components/api-key-form.js";
import { onceAtATime } from "../components/dialogs.js";
import { Player, stopDetached } from "../components/player.js";
import { getModel, getPage, getSummary, isAbort } from "../lib/api.js";
import { getClassifiers, getCollections, getEdits, undoEdit } from "../lib/curation-api.js";
import { find, findButton, findInput, make, searchLink, showError } from "../lib/dom.js";
import { count, duration, editName, key, number, percent } from "../lib/format.js";

/** @import { Clip, LibrarySummary, Model } from "../lib/api.js" */

export const title = "Library";
export const focus = "library-title";

const PAGE_SIZE = 6; // recent sounds
const EDITS = 8; // listed
const FEW_TAGS = 60; // shown before the user asks for all
const MAX_TAGS = 1000; // shown
const ALL_TAGS = 10_000; // read
const MAX_CHIPS = 8; // tags of a recent sound
const MAX_CHARACTERS = 400; // of a fact of the model's card

/** @type {LibrarySummary} */
let summary;
/** @type {LibrarySummary["tags"]} */
let tags = []; // all of them once they are read, else the most frequent
/** @type {string | null} */
let cursor = null; // of the next recent sounds
let showsAllTags = false;
let isShown = false;

/** Listen to the buttons and the filter. */
export function start() {
  find("library-more").addEventListener("click", showMore);
  find("library-filter").addEventListener("input", filterTags);
  find("library-all-tags").addEventListener("click", async () => {
    showsAllTags = true;
    await readAllTags();
    find("library-tags-title").tabIndex = -1;
    find("library-tags-title").focus();
  });
}

export function show() {
  if (isShown) return;
  isShown = true;
  load();
}

export function hide() {
  isShown = false;
}

async function load() {
  find("library-problem").replaceChildren();
  if (!summary) showState("Reading the library…", true);
  try {
    const [answer, model] = await Promise.all([getSummary(), getModel()]);
    showState("");
    update(answer, model);
  } catch (error) {
    showState("");
    showError(find("library-problem"), error, load);
  }
}

/** @param {string} text @param {boolean} [busy] */
function showState(text, busy = false) {
  find("library-state").textContent = text;
  find("library-state").classList.toggle("busy", busy);
}

/** @param {LibrarySummary} answer @param {Model} model */
function update(answer, model) {
  const changed = summary?.generation !== answer.generation;
  summary = answer;
  find("library-parts").hidden = false;
  showFigures(answer, model);
  showModel(model);
  showMissing(answer.missing);
  if (!changed) return;
  [tags, showsAllTags] = [answer.tags, false];
  showTags();
  showCounts("licence", answer.licences.map((row) => [row.licence, row.count]), answer.different.licences);
  showCounts("source", answer.sources.map((row) => [row.source, row.count]), answer.different.sources);
  showFailures(answer.failures);
  showRecent();
  showEdits().catch((error) => showError(find("library-edits-problem"), error, load));
  showSets().catch((error) => showError(find("library-problem"), error, load));
}

async function showSets() {
  const [{ collections }, { classifiers }] = await Promise.all([getCollections(), getClassifiers()]);
  find("library-taught").replaceChildren(...classifiers.map(({ id, name, positives, negatives, average_precision: precision }) =>
    make("li", {},
      make("a", { href: `?${new URLSearchParams({ taught: id })}`, "data-go": true }, name),
      make("span", { class: "times" }, precision == null ? count(positives + negatives, "label") : percent(precision)))));
  if (!classifiers.length) find("library-taught").append(make("li", { class: "quiet" }, "None yet: begin in any search."));
  find("library-collections").replaceChildren(...collections.map(({ id, name, clips, follows }) => make("li", {},
    make("a", { href: `?${new URLSearchParams({ collection: id })}`, "data-go": true }, name),
    follows ? make("span", { class: "quiet" }, "follows a search") : soundCount(clips ?? 0))));
}

/** The last edits, each with a button that undoes it. */
async function showEdits() {
  const { edits } = await getEdits(EDITS);
  find("library-changed").hidden = !edits.length;
  find("library-edits").replaceChildren(...edits.map((edit) => make("li", {},
    make("span", {}, `${editName(edit)}: ${count(edit.clips, "sound")} `),
    edit.undone_by !== null ? make("span", { class: "quiet" }, "undone") : make("button", {
      type: "button", class: "link", "aria-label": `Undo: ${editName(edit)}`, onclick: onceAtATime(() => undo(edit.number)),
    }, "Undo"))));
}

/** @param {number} edit */
async function undo(edit) {
  const problem = find("library-edits-problem");
  try {
    const { changed, conflicts } = await withKey(problem, () => undoEdit(edit));
    await load();
    find("library-changed-title").focus({ preventScroll: true });
    const left = conflicts ? `, ${count(conflicts, "sound")} changed since and left` : "";
    problem.replaceChildren(make("p", { class: "quiet" }, `Undone: ${count(changed, "sound")} as before${left}.`));
  } catch (error) {
    if (!isAbort(error)) showError(problem, error, () => undo(edit));
  }
}

/** Items of a description list. @param {[string, string][]} rows */
const descriptions = (rows) => rows.map(([name, value]) => make("div", {},
  make("dt", {}, name), make("dd", {}, value)));

/** @param {LibrarySummary} summary @param {Model} model */
function showFigures({ clips, seconds, different, index, generation, failures }, { name }) {
  find("library-figures").replaceChildren(...descriptions([
    ["Sounds", number(clips)],
    ["Length", duration(seconds)],
    ["Different tags", number(different.tags)],
    ["Could not be added", number(failures.total)],
    ["Model", name],
    ["Changes so far", number(generation)],
    ["Index", index],
  ]));
  find("library-figures").lastElementChild?.classList.add("wide");
}

// Recent additions

async function showRecent() {
  cursor = null;
  find("library-recent").replaceChildren();
  await showMore();
}

async function showMore() {
  const list = find("library-recent");
  const button = findButton("library-more");
  const state = find("library-more-state");
  find("library-more-problem").replaceChildren();
  state.textContent = "Reading…";
  button.disabled = true;
  try {
    const parameters = new URLSearchParams({ k: String(PAGE_SIZE), sort: "newest", ...(cursor && { cursor }) });
    const { clips = [], next, total } = await getPage({ kind: "clips", parameters });
    const items = clips.map(recentItem);
    const isFirst = !list.children.length;
    list.append(...items);
    cursor = next;
    state.textContent = list.children.length ? `${number(list.children.length)} of ${count(total, "sound")}`
      : "The library holds no sounds yet. ";
    if (!list.children.length) state.append(make("a", { href: "#tag", "data-go": true }, "Add the first"));
    if (!isFirst) items[0]?.querySelector("button")?.focus({ preventScroll: true });
    stopDetached();
  } catch (error) {
    state.textContent = "";
    showError(find("library-more-problem"), error, showMore);
  }
  button.disabled = false;
  button.hidden = !cursor;
}

/** @param {Clip} clip */
function recentItem(clip) {
  const player = Player.ofClip(clip);
  const added = new Date(clip.added_at);
  return make("li", { class: "result" },
    player.button,
    make("div", { class: "head" },
      make("h3", {}, clip.title),
      make("time", { class: "quiet", datetime: clip.added_at, title: added.toLocaleString() },
        added.toLocaleDateString(undefined, { dateStyle: "medium" }))),
    make("div", { class: "player" }, player.track, player.time),
    make("div", { class: "beside library-details" },
      make("ul", { class: "chips", "aria-label": "Tags" },
        ...clip.tags.slice(0, MAX_CHIPS).map((tag) => make("li", {}, searchLink(tag, "chip")))),
      make("a", {
        class: "quiet", href: `?${new URLSearchParams({ like: clip.id })}`, "data-go": true,
        "aria-label": `More like this: ${clip.title}`,
      }, "More like this")));
}

// Tags, licences, sources

async function filterTags() {
  if (findInput("library-filter").value && tags.length < summary.different.tags) await readAllTags();
  else showTags();
}

async function readAllTags() {
  try {
    ({ tags } = await getSummary(ALL_TAGS));
    find("library-problem").replaceChildren();
  } catch (error) {
    showError(find("library-problem"), error, readAllTags);
  }
  showTags();
}

function showTags() {
  const part = key(findInput("library-filter").value.trim());
  const matching = part ? tags.filter(({ tag }) => key(tag).includes(part)) : tags;
  const shown = matching.slice(0, showsAllTags || part ? MAX_TAGS : FEW_TAGS);
  const total = summary.different.tags;
  find("library-tags").replaceChildren(...shown.map(({ tag, count: times }) => make("li", {},
    make("a", { class: "chip", href: `?${new URLSearchParams({ tag })}`, "data-go": true },
      tag, soundCount(times)))));
  let text = shown.length < total ? `The ${number(shown.length)} most frequent of ${number(total)}`
    : count(total, "tag");
  if (part) text = matching.length ? `${count(matching.length, "tag")} with “${part}”` : `No tag contains “${part}”`;
  if (!total) text = "No sound has a tag yet.";
  find("library-tags-state").textContent = text;
  find("library-all-tags").hidden = Boolean(part) || shown.length >= Math.min(total, MAX_TAGS);
}

/** @param {number} times */
const soundCount = (times) =>
  make("span", { class: "times", "aria-label": `, ${count(times, "sound")}` }, number(times));

/** @param {"licence" | "source"} kind @param {[string, number][]} counts @param {number} different */
function showCounts(kind, counts, different) {
  const list = find(`library-${kind}s`);
  list.replaceChildren(...counts.map(([name, times]) => make("li", {},
    make("a", { href: `?${new URLSearchParams({ [kind]: name })}`, "data-go": true }, name),
    soundCount(times))));
  if (!counts.length) list.append(make("li", { class: "quiet" }, "None given."));
  if (different > counts.length) {
    list.append(make("li", { class: "quiet" }, `and ${number(different - counts.length)} more`));
  }
}

/** @param {LibrarySummary["failures"]} failures */
function showFailures({ total, latest }) {
  find("library-failed").hidden = !total;
  find("library-failed-note").textContent = total > latest.length
    ? `The latest ${latest.length} of ${number(total)} files.` : count(total, "file");
  find("library-failures").replaceChildren(...latest.map(({ name, reason }) =>
    make("li", {}, make("strong", {}, name), make("span", { class: "quiet" }, reason))));
}

/** @param {LibrarySummary["missing"]} missing */
function showMissing(missing) {
  const { total, first } = missing ?? { total: 0, first: [] };
  find("library-gone").hidden = !total;
  find("library-gone-note").textContent = total > first.length
    ? `The first ${first.length} of ${number(total)} sounds.` : count(total, "sound");
  find("library-missing").replaceChildren(...first.map((sound) =>
    make("li", {}, make("strong", {}, sound.title), make("span", { class: "quiet" }, sound.name))));
}

// The model

/** @param {Model} model */
function showModel(model) {
  const { card } = model;
  const error = card.calibration?.ece?.after;
  const open = find("library-model").querySelector("details")?.open ?? false;
  const halfRate = number(model.sample_rate / 2);
  find("library-model").replaceChildren(
    make("p", {}, make("strong", {}, model.name),
      ` embeds sounds and words in one space, so that each can be searched with the other. ${training(model)}`),
    make("ul", { class: "points" },
      make("li", {}, `It can suggest ${count(model.vocabulary, "tag")}, and ${wordsOf(model)}`),
      make("li", {}, `It analyses sound in windows of ${model.window_seconds.toFixed(1)} s at `
        + `${number(model.sample_rate)} Hz. Frequencies above ${halfRate} Hz have no effect.`),
      error !== undefined && make("li", {}, "Tag scores are probabilities: of sounds with a score of 20 %, "
        + `about one in five has the tag. On sounds it was not trained on, the mean error was ${(100 * error).toFixed(1)} %.`)),
    make("details", { open }, make("summary", {}, "All details"),
      make("dl", { class: "known" }, ...descriptions([...facts(model, [])]))));
}

/** What it makes of words. @param {Model} model */
function wordsOf({ words, sentence_encoder, languages }) {
  if (words === null) {
    return `understands whole phrases in ${count(languages.length, "language")} (${sentence_encoder}): `
      + `${languages.join(", ")}. No word is unknown to it.`;
  }
  return `knows ${number(words)} search words. Other words are replaced by a similar spelling or split into `
    + "parts; words without a match are listed and ignored.";
}

/** @param {Model} model */
function training({ card }) {
  if (!card.train_clips) return "";
  const groups = card.validation_groups?.length;
  const validation = card.validation_clips ? ` and validated on ${number(card.validation_clips)} others` : "";
  return `It was trained on ${count(card.train_clips, "sound")}${validation}`
    + `${groups ? ` from ${count(groups, "collection")}` : ""}.`;
}

/** The facts of a card as [name, value], nested names joined.
 * @param {any} value @param {string[]} names @returns {Generator<[string, string]>} */
function* facts(value, names) {
  if (value && typeof value === "object" && !Array.isArray(value)) {
    for (const [name, child] of Object.entries(value)) yield* facts(child, [...names, name]);
    return;
  }
  const text = typeof value === "object" ? JSON.stringify(value) : String(value);
  const shown = text.length > MAX_CHARACTERS ? `${text.slice(0, MAX_CHARACTERS)}…` : text;
  yield [names.join(" · ").replaceAll("_", " "), shown];
}

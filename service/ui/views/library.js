/** Library: what is in it, what came last, what failed, and the model that hears it. */

import * as api from "../lib/api.js";
import { complain, find, make, percent, searchLink } from "../lib/dom.js";
import { Control, stopOrphan } from "../components/player.js";

export const title = "Library";
export const focus = "library-title";

const PAGE = 6; // recent sounds at a time
const FEW_TAGS = 60; // shown before all are asked for
const ALL_TAGS = 10_000;

let summary = null; // the answer that is shown
let tags = []; // all of them, once they are asked for; else the most frequent
let following = null; // the cursor of the next recent sounds
let allWanted = false; // tags
let isShown = false;

/** Listen to the buttons and the filter. */
export function start() {
  find("library-more").addEventListener("click", showMore);
  find("library-filter").addEventListener("input", filterTags);
  find("library-all-tags").addEventListener("click", async () => {
    allWanted = true;
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
  if (!summary) state("Reading the library…", true);
  try {
    const [answer, model] = await Promise.all([api.library(), api.model()]);
    state("");
    take(answer, model);
  } catch (error) {
    state("");
    complain(find("library-problem"), error, load);
  }
}

function state(text, busy = false) {
  find("library-state").textContent = text;
  find("library-state").classList.toggle("busy", busy);
}

function take(answer, model) {
  const changed = summary?.generation !== answer.generation;
  summary = answer;
  find("library-parts").hidden = false;
  showFigures(answer, model);
  showModel(model);
  if (!changed) return;
  [tags, allWanted] = [answer.tags, false];
  showTags();
  showCounts("licence", answer.licences, answer.different.licences);
  showCounts("source", answer.sources, answer.different.sources);
  showFailures(answer.failures);
  showRecent();
}

const number = (value) => value.toLocaleString("en");
const count = (value, one, many = `${one}s`) => (value === 1 ? `1 ${one}` : `${number(value)} ${many}`);

/** Seconds as people say them. */
function length(seconds) {
  if (seconds < 100) return count(Math.round(seconds), "second");
  const minutes = Math.round(seconds / 60);
  if (minutes < 100) return count(minutes, "minute");
  return minutes < 6000 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : count(Math.round(minutes / 60), "hour");
}

const pairs = (rows) => rows.map(([name, ...value]) => make("div", {},
  make("dt", {}, name), make("dd", {}, ...value)));

function showFigures({ clips, seconds, different, index, generation, failures }, { name }) {
  find("library-figures").replaceChildren(...pairs([
    ["Sounds", number(clips)],
    ["Length", length(seconds)],
    ["Different tags", number(different.tags)],
    ["Could not be added", number(failures.total)],
    ["Heard by the model", name],
    ["Changes so far", number(generation)],
    ["Index", index],
  ]));
  find("library-figures").lastElementChild.classList.add("wide");
}

// Recent additions

async function showRecent() {
  following = null;
  find("library-recent").replaceChildren();
  await showMore();
}

async function showMore() {
  const list = find("library-recent");
  const button = find("library-more");
  find("library-more-problem").replaceChildren();
  const words = find("library-more-state");
  words.textContent = "Reading…";
  button.disabled = true;
  try {
    const given = new URLSearchParams({ k: PAGE, sort: "newest", ...(following && { cursor: following }) });
    const page = await api.sounds({ kind: "clips", given });
    const items = page.clips.map(recent);
    const begun = list.children.length;
    list.append(...items);
    following = page.next;
    words.textContent = list.children.length ? `${number(list.children.length)} of ${count(page.total, "sound")}`
      : "The library holds no sounds yet. ";
    if (!list.children.length) words.append(make("a", { href: "#tag", "data-go": true }, "Add the first"));
    if (begun && items.length) items[0].querySelector(".play").focus({ preventScroll: true });
    stopOrphan();
  } catch (error) {
    words.textContent = "";
    complain(find("library-more-problem"), error, showMore);
  }
  button.disabled = false;
  button.hidden = !following;
}

function recent(clip) {
  const control = new Control({ ...clip, address: clip.audio, waveform: clip.audio.replace(/audio$/, "waveform") });
  const added = new Date(clip.added_at);
  return make("li", { class: "result" },
    control.button,
    make("div", { class: "head" },
      make("h3", {}, clip.title),
      make("time", { class: "quiet", datetime: clip.added_at, title: added.toLocaleString() },
        added.toLocaleDateString(undefined, { dateStyle: "medium" }))),
    make("div", { class: "player" }, control.track, control.time),
    make("div", { class: "beside library-said" },
      make("ul", { class: "chips", "aria-label": "Tags" },
        ...clip.tags.slice(0, 8).map((tag) => make("li", {}, searchLink(tag, "chip")))),
      make("a", {
        class: "quiet", href: `?${new URLSearchParams({ like: clip.id })}`, "data-go": true,
        "aria-label": `More like this: ${clip.title}`,
      }, "More like this")));
}

// Tags, licences, sources

async function filterTags() {
  if (find("library-filter").value && tags.length < summary.different.tags) await readAllTags();
  else showTags();
}

async function readAllTags() {
  try {
    ({ tags } = await api.library(ALL_TAGS));
    find("library-problem").replaceChildren();
  } catch (error) {
    complain(find("library-problem"), error, readAllTags);
  }
  showTags();
}

function showTags() {
  const part = find("library-filter").value.trim().toLowerCase();
  const fitting = part ? tags.filter(({ tag }) => tag.includes(part)) : tags;
  const some = allWanted || part ? fitting.slice(0, 1000) : fitting.slice(0, FEW_TAGS);
  const inAll = summary.different.tags;
  find("library-tags").replaceChildren(...some.map(({ tag, count: times }) => make("li", {},
    make("a", { class: "chip", href: `?${new URLSearchParams({ tag })}`, "data-go": true },
      tag, make("span", { class: "times", "aria-label": `, ${count(times, "sound")}` }, number(times))))));
  let words = some.length < inAll ? `The ${number(some.length)} most frequent of ${number(inAll)}` : count(inAll, "tag");
  if (part) words = fitting.length ? `${count(fitting.length, "tag")} with “${part}”` : `No tag contains “${part}”`;
  if (!inAll) words = "No sound has a tag yet.";
  find("library-tags-state").textContent = words;
  find("library-all-tags").hidden = Boolean(part) || some.length >= Math.min(inAll, 1000);
}

function showCounts(kind, counts, different) {
  const list = find(`library-${kind}s`);
  list.replaceChildren(...counts.map((each) => make("li", {},
    make("a", { href: `?${new URLSearchParams({ [kind]: each[kind] })}`, "data-go": true }, each[kind]),
    make("span", { class: "times", "aria-label": `, ${count(each.count, "sound")}` }, number(each.count)))));
  if (!counts.length) list.append(make("li", { class: "quiet" }, "None is stated."));
  if (different > counts.length) {
    list.append(make("li", { class: "quiet" }, `and ${number(different - counts.length)} more`));
  }
}

function showFailures({ total, latest }) {
  find("library-failed").hidden = !total;
  find("library-failed-note").textContent = total > latest.length
    ? `The last ${latest.length} of ${number(total)} files, the latest first.` : count(total, "file");
  find("library-failures").replaceChildren(...latest.map(({ name, reason }) =>
    make("li", {}, make("strong", {}, name), make("span", { class: "quiet" }, reason))));
}

// The model

function showModel(model) {
  const { card } = model;
  const from = card.validation_groups?.length;
  const trained = card.train_clips && `It was trained on ${count(card.train_clips, "sound")}`
    + `${card.validation_clips ? `, and tried on ${number(card.validation_clips)} others` : ""}`
    + `${from ? ` from ${count(from, "collection")}` : ""}.`;
  const error = card.calibration?.ece?.after;
  const open = find("library-model").querySelector("details")?.open;
  find("library-model").replaceChildren(
    make("p", {}, make("strong", {}, model.name), ` brings sounds and words into one space, so that each finds the other. ${trained || ""}`),
    make("ul", { class: "points" },
      make("li", {}, `It can suggest ${count(model.vocabulary, "tag")}, and understands ${number(model.words)} words of a search. `
        + "Others are taken by their nearest form or parts; what nothing is like is named and left out."),
      make("li", {}, `It hears in stretches of ${model.window_seconds.toFixed(1)} s at ${number(model.sample_rate)} Hz; what is higher than ${number(model.sample_rate / 2)} Hz it does not hear.`),
      error !== undefined && make("li", {}, "Scores of tags are meant literally: of sounds with 20 %, about every fifth has the tag. "
        + `On sounds it had not met, they were off by ${percent(error)} on average.`)),
    make("details", { open }, make("summary", {}, "All that is known of it"),
      make("dl", { class: "known" }, ...pairs([...facts(model)]))));
}

/** A card's facts as [name, value], those within others by the names on the way. */
function* facts(value, names = []) {
  if (value && typeof value === "object" && !Array.isArray(value)) {
    for (const [name, each] of Object.entries(value)) yield* facts(each, [...names, name]);
    return;
  }
  const text = typeof value === "object" ? JSON.stringify(value) : String(value);
  const whole = text.length > 400 ? `${text.slice(0, 400)}…` : text;
  yield [names.join(" · ").replaceAll("_", " "), whole];
}

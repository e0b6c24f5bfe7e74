/**
 * What is heard in a sound, and when: a lane for each tag under the outline, with its events as
 * buttons that play them, and the same as a list. It is read when it is asked for.
 */

import { clipAddress, getTimeline, isAbort } from "../lib/api.js";
import { make, showError } from "../lib/dom.js";
import { clockRange, count, percent } from "../lib/format.js";
import { lengthOf, merged } from "../lib/span.js";

/** @import { Hit, Lane } from "../lib/api.js" */
/** @import { Span } from "../lib/span.js" */
/** @import { Player } from "./player.js" */

const MAX_LANES = 8; // at first
const MAX_LISTED = 50; // events of a tag
const GAP = 4; // pixels: events that are closer are drawn as one
const NARROW = 6; // pixels: narrower events have no border
const PALEST = 15; // percent of the colour, of an event that is hardly probable
const FORMATS = { audacity: "Audacity labels", raven: "Raven table", csv: "CSV" };
let counter = 0;

export class Lanes {
  #hit;
  #player;
  /** @type {Lane[]} */
  #lanes = [];
  /** @type {HTMLElement[]} */
  #rows = []; // of the lanes that are shown
  #reading = new AbortController();

  /** @param {Hit} hit @param {Player} player of it */
  constructor(hit, player) {
    this.#hit = hit;
    this.#player = player;
    const id = `lanes-${(counter += 1)}`;
    this.button = make("button", {
      type: "button", class: "link", "aria-expanded": "false", "aria-controls": id,
      "aria-label": `What is heard when in ${hit.title}`, onclick: () => this.#toggle(),
    }, "What is heard when");
    this.status = make("p", { class: "status", role: "status" });
    this.problem = make("div", { role: "alert" });
    this.body = make("div", { class: "lanes", onkeydown: moveAmongEvents });
    this.more = make("div", { class: "row small" });
    this.node = make("div", {
      class: "heard", id, role: "group", "aria-label": `What is heard when in ${hit.title}`, hidden: true,
    }, this.status, this.problem, this.body, this.more);
    player.track.addEventListener("view", () => this.#draw());
  }

  #toggle() {
    const opens = this.node.hidden;
    this.node.hidden = !opens;
    this.button.setAttribute("aria-expanded", String(opens));
    if (!opens) this.#reading.abort();
    else if (!this.#lanes.length) this.#read();
  }

  async #read() {
    const { signal } = (this.#reading = new AbortController());
    this.problem.replaceChildren();
    this.#showStatus("Listening to all of it…", true);
    try {
      const { tags } = await getTimeline(this.#hit.id, signal);
      this.#lanes = tags.filter(({ events }) => events.length);
      this.#showStatus(this.#lanes.length ? "" : "Nothing is heard clearly enough to be named.");
      this.#show(MAX_LANES);
      this.#showMore();
    } catch (error) {
      if (isAbort(error)) return;
      this.#showStatus("");
      showError(this.problem, error, () => this.#read());
    }
  }

  /** @param {string} text @param {boolean} [busy] */
  #showStatus(text, busy = false) {
    this.status.textContent = text;
    this.status.classList.toggle("busy", busy);
  }

  /** Show the first so many lanes. @param {number} number */
  #show(number) {
    this.#rows = this.#lanes.slice(0, number).map(({ tag }) => (
      make("div", { class: "lane", role: "toolbar", "aria-label": tag })));
    this.body.replaceChildren(...this.#rows.flatMap((row, place) => [
      row, make("span", { class: "lane-tag", title: this.#lanes[place].tag }, this.#lanes[place].tag)]));
    this.#draw();
  }

  /** The events in view. The focus stays in its lane. */
  #draw() {
    const { outline } = this.#player;
    const second = this.#player.track.clientWidth / lengthOf(outline.view); // pixels
    for (const [place, row] of this.#rows.entries()) {
      const hadFocus = row.contains(document.activeElement);
      const events = merged(this.#lanes[place].events, outline.view, GAP / second);
      row.replaceChildren(...events.map((event) => (
        this.#eventButton(this.#lanes[place].tag, event, lengthOf(event) * second < NARROW))));
      const first = row.querySelector("button");
      first?.setAttribute("tabindex", "0");
      if (hadFocus) first?.focus();
    }
  }

  /** @param {string} tag @param {Span & {score: number, count: number}} event @param {boolean} narrow */
  #eventButton(tag, event, narrow) {
    const times = `${clockRange(event)}${event.count > 1 ? `, ${event.count} times` : ""}`;
    const name = `${tag}, ${times}, ${percent(event.score)}`;
    const button = make("button", {
      type: "button", tabindex: "-1", "aria-label": name, title: name, class: narrow && "narrow",
      onclick: () => this.#player.play(event.start, event.end),
    });
    this.#player.outline.place(button, event);
    button.style.setProperty("--sure", `${Math.round(PALEST + (100 - PALEST) * event.score)}%`);
    return button;
  }

  /** More lanes, the list, and files that other programs open. */
  #showMore() {
    const { id, title } = this.#hit;
    const others = this.#lanes.length - MAX_LANES;
    const more = others > 0 && make("button", {
      type: "button", class: "link",
      onclick: (/** @type {Event} */ event) => {
        this.#show(this.#lanes.length);
        this.#rows[MAX_LANES]?.querySelector("button")?.focus();
        if (event.currentTarget instanceof Element) event.currentTarget.remove();
      },
    }, `Show ${count(others, "more tag")}`);
    const list = make("details", {
      ontoggle: () => list.childElementCount === 1 && list.append(this.#list()),
    }, make("summary", {}, "As a list"));
    this.more.replaceChildren(...this.#lanes.length ? [
      ...more ? [more] : [], list,
      make("p", {}, "Save as ", ...Object.entries(FORMATS).flatMap(([format, name], place) => [
        place ? ", " : "", make("a", {
          href: clipAddress(id, `/timeline?format=${format}`), download: true,
          "aria-label": `Save what is heard in ${title} as ${name}`,
        }, name)]))] : []);
  }

  #list() {
    return make("dl", { class: "heard-list" }, ...this.#lanes.flatMap(({ tag, events }) => [
      make("dt", {}, tag),
      make("dd", { class: "moments" },
        ...events.slice(0, MAX_LISTED).map((event) => make("span", {},
          make("button", {
            type: "button", class: "link", "aria-label": `Play ${tag}, ${clockRange(event)}, ${percent(event.score)}`,
            onclick: () => this.#player.play(event.start, event.end),
          }, clockRange(event)), percent(event.score))),
        events.length > MAX_LISTED && `and ${events.length - MAX_LISTED} more`)]));
  }
}

/** Arrows lead from event to event, and from lane to lane: each lane is one stop for Tab.
 * @param {KeyboardEvent} event */
function moveAmongEvents(event) {
  const { target, key } = event;
  if (!(target instanceof HTMLElement) || event.ctrlKey || event.metaKey || event.altKey) return;
  const lane = target.closest(".lane");
  const next = lane && neighbourOf(target, lane, key);
  if (!next || !(next instanceof HTMLElement)) return;
  event.preventDefault();
  for (const other of next.parentElement?.children ?? []) {
    if (other instanceof HTMLElement) other.tabIndex = other === next ? 0 : -1;
  }
  next.focus();
}

/** @param {HTMLElement} button @param {Element} lane @param {string} key */
function neighbourOf(button, lane, key) {
  if (key === "ArrowRight") return button.nextElementSibling ?? button;
  if (key === "ArrowLeft") return button.previousElementSibling ?? button;
  if (key === "Home") return lane.firstElementChild;
  if (key === "End") return lane.lastElementChild;
  if (key !== "ArrowDown" && key !== "ArrowUp") return null;
  const lanes = [...lane.parentElement?.querySelectorAll(".lane") ?? []].filter((row) => row.childElementCount);
  const other = lanes[lanes.indexOf(lane) + (key === "ArrowDown" ? 1 : -1)];
  return other?.querySelector("[tabindex='0']") ?? button;
}

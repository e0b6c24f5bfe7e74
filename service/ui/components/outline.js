/**
 * The outline of a sound with the position in it. It shows all of the sound, or a stretch (`view`) when
 * it is zoomed in; parts are marked, and one can be selected: by dragging, by its two edges, or with
 * Shift and the arrow keys. Times are in seconds.
 *
 * Its node dispatches `view` when another stretch is in view, and `select` when another is selected.
 */

import { make, makeSvg } from "../lib/dom.js";
import { preciseClock } from "../lib/format.js";
import { between, contains, lengthOf, panned, shareOf, showing, zoomed } from "../lib/span.js";
import { outlinePath } from "../lib/waveform.js";

/** @import { Span } from "../lib/span.js" */
/** @import { Peak } from "../lib/waveform.js" */
/** @typedef {"start" | "end"} Edge */
/** @typedef {{edge?: Edge, x: number, anchor: number, moved: boolean}} Drag `x` in pixels */

const DRAG_PIXELS = 4; // less is a click
const ZOOM_STEP = 2;
const NARROW = 0.01; // of the view: marks of less are solid, to be seen
const EDGES = /** @type {const} */ (["start", "end"]);
/** @type {Record<string, number>} */
const STEPS = {
  ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10,
}; // in hundredths of the view

export class Outline {
  duration = 0;
  /** @type {Span} */
  view = { start: 0, end: 1 };
  /** @type {Span | null} */
  selection = null;
  position = 0;
  rest = 0; // the position before it plays: nothing is drawn as played
  /** @type {(Span & {share?: number})[]} */
  #parts = [];
  /** @type {{path: string, points: number, span: Span | null}[]} */
  #drawings = []; // the whole sound, and the stretch in view
  /** @type {Drag | null} */
  #drag = null;
  #anchor = 0; // the edge of the selection that Shift and arrows leave where it is
  #onSeek;

  /**
   * @param {object} options
   * @param {string} options.title
   * @param {boolean} options.selectable and can be zoomed; else dragging moves the position
   * @param {(seconds: number, clicked: boolean) => void} options.onSeek
   */
  constructor({ title, selectable, onSeek }) {
    this.title = title;
    this.selectable = selectable;
    this.#onSeek = onSeek;
    this.seek = make("input", {
      type: "range", class: "seek", step: "any", "aria-label": `Position in ${title}`,
      oninput: () => onSeek(Number(this.seek.value), false),
    });
    this.svg = makeSvg("svg", { class: "outline", preserveAspectRatio: "none", "aria-hidden": true });
    this.marks = make("div", { class: "marks" });
    this.band = make("div", { class: "selected", hidden: true });
    this.edges = EDGES.map((edge) => this.#makeEdge(edge));
    this.node = make("div", { class: "track" }, this.svg, this.marks, this.seek);
    if (selectable) this.node.append(this.band, ...this.edges);
    this.#listen();
  }

  /** @param {Edge} edge */
  #makeEdge(edge) {
    return make("div", {
      class: "edge", role: "slider", tabindex: "0", "data-edge": edge, hidden: true, "aria-valuemin": "0",
      "aria-label": `${edge === "start" ? "Beginning" : "End"} of the part of ${this.title}`,
    });
  }

  #listen() {
    const { node } = this;
    node.addEventListener("pointerdown", (event) => this.#press(event));
    node.addEventListener("pointermove", (event) => this.#move(event));
    node.addEventListener("pointerup", (event) => this.#release(event));
    node.addEventListener("pointercancel", () => { this.#drag = null; });
    node.addEventListener("mousedown", (event) => {
      event.preventDefault(); // no text is selected, and the focus goes to what has the keys
      const edge = edgeOf(event.target);
      (edge ? this.edges[EDGES.indexOf(edge)] : this.seek).focus({ preventScroll: true });
    });
    if (!this.selectable) return;
    node.addEventListener("keydown", (event) => this.#handleKey(event));
    node.addEventListener("wheel", (event) => this.#turn(event), { passive: false });
  }

  // What is shown

  /** @param {number} duration */
  setDuration(duration) {
    if (duration === this.duration) return;
    const view = this.isZoomed ? panned(this.view, duration, 0) : { start: 0, end: duration || 1 };
    this.duration = duration;
    this.setView(view);
  }

  /** @param {Span} view */
  setView(view) {
    this.view = view;
    this.#draw();
    this.node.dispatchEvent(new Event("view"));
  }

  get isZoomed() {
    return lengthOf(this.view) < this.duration;
  }

  /** @param {number} factor above 1: in @param {number} [centre] */
  zoom(factor, centre = this.#centre()) {
    if (this.duration) this.setView(zoomed(this.view, this.duration, factor, centre));
  }

  /** What zooming in leads to: the selection, else the position, else the best part. */
  #centre() {
    if (this.selection) return (this.selection.start + this.selection.end) / 2;
    return this.position || this.#parts[0]?.start || 0;
  }

  /** @param {number} share of the view */
  pan(share) {
    this.setView(panned(this.view, this.duration, share));
  }

  showAll() {
    this.setView({ start: 0, end: this.duration || 1 });
  }

  /** Move the view to a stretch, if it is not shown. @param {Span} span */
  reveal(span) {
    const view = showing(this.view, this.duration, span);
    if (this.isZoomed && view !== this.view) this.setView(view);
  }

  /** Move on to a position; the view goes along where it is left behind. @param {number} seconds */
  moveTo(seconds) {
    const leaves = contains(this.view, this.position) && !contains(this.view, seconds);
    this.position = seconds;
    if (leaves && seconds < this.duration) this.reveal({ start: seconds, end: seconds });
    this.#drawPosition();
  }

  /** @param {Peak[]} peaks @param {Span | null} [span] null: of the whole sound */
  show(peaks, span = null) {
    const others = this.#drawings.filter((drawing) => (drawing.span === null) !== (span === null));
    this.#drawings = [...others, { path: outlinePath(peaks), points: peaks.length, span }];
    this.node.classList.add("drawn");
    this.#drawOutline();
  }

  /** A plain bar in its place. */
  showNone() {
    this.node.classList.add("unknown");
  }

  /** Highlight parts of the sound; `share` is their weight, from 0 to 1.
   * @param {(Span & {share?: number})[]} parts */
  mark(parts) {
    this.#parts = parts;
    this.#drawMarks();
  }

  /** Where a stretch is to be drawn, in the view. @param {HTMLElement} node @param {Span} span */
  place(node, { start, end }) {
    const from = Math.max(0, shareOf(this.view, start));
    const to = Math.min(1, shareOf(this.view, end));
    node.hidden = to < 0 || from > 1;
    node.style.insetInlineStart = `${100 * from}%`;
    node.style.inlineSize = `${100 * (to - from)}%`;
  }

  #draw() {
    this.#drawOutline();
    this.#drawMarks();
    this.#drawSelection();
    this.#drawPosition();
  }

  #drawPosition() {
    const { seek, view, position } = this;
    seek.min = String(view.start);
    seek.max = String(view.end);
    seek.value = String(position);
    seek.setAttribute("aria-valuetext", preciseClock(position));
    const done = position === this.rest ? 0 : Math.min(1, Math.max(0, shareOf(view, position)));
    this.node.style.setProperty("--done", `${100 * done}%`);
    this.node.classList.toggle("elsewhere", position < view.start || position > view.end);
  }

  /** The drawing of the view, else of the whole sound, as large as the view makes it. */
  #drawOutline() {
    const { start, end } = this.view;
    const exact = this.#drawings.find(({ span }) => span?.start === start && span.end === end);
    const whole = this.#drawings.find(({ span }) => !span);
    const drawing = (this.isZoomed && exact) || whole || exact;
    if (!drawing) return;
    const units = Math.max(1, drawing.points - 1);
    const span = drawing.span ?? { start: 0, end: this.duration || 1 };
    const from = units * shareOf(span, start);
    this.svg.setAttribute("viewBox", `${from} 0 ${units * shareOf(span, end) - from} 100`);
    this.svg.replaceChildren(makeSvg("path", { class: "rest", d: drawing.path }),
      makeSvg("path", { class: "done", d: drawing.path }));
  }

  #drawMarks() {
    if (!this.duration) return;
    this.marks.replaceChildren(...this.#parts.map(({ share = 1, ...span }) => {
      const isNarrow = lengthOf(span) < NARROW * lengthOf(this.view);
      const mark = make("span", { class: isNarrow && "narrow" });
      this.place(mark, span);
      mark.style.opacity = String(share);
      return mark;
    }));
  }

  // The selection

  /** @param {Span | null} span null: nothing @param {number} [anchor] */
  select(span, anchor = span?.start ?? 0) {
    const hadFocus = this.edges.some((edge) => edge === document.activeElement);
    this.selection = span;
    this.#anchor = anchor;
    this.#drawSelection();
    if (!span && hadFocus) this.seek.focus({ preventScroll: true });
    this.node.dispatchEvent(new Event("select"));
  }

  #drawSelection() {
    const { selection } = this;
    if (!selection) {
      for (const node of [this.band, ...this.edges]) node.hidden = true;
      return;
    }
    this.place(this.band, selection);
    for (const edge of this.edges) {
      const seconds = selection[edgeOf(edge) ?? "start"];
      const share = shareOf(this.view, seconds);
      edge.hidden = share < -1e-6 || share > 1 + 1e-6;
      edge.style.insetInlineStart = `${100 * share}%`;
      edge.setAttribute("aria-valuemax", String(this.duration));
      edge.setAttribute("aria-valuenow", String(seconds));
      edge.setAttribute("aria-valuetext", preciseClock(seconds));
    }
  }

  /** @param {Edge} edge @param {number} seconds */
  #moveEdge(edge, seconds) {
    const other = this.selection?.[edge === "start" ? "end" : "start"] ?? 0;
    const within = edge === "start" ? Math.min(seconds, other) : Math.max(seconds, other);
    this.select(between(within, other, this.duration), other);
    this.reveal({ start: this.selection?.[edge] ?? 0, end: this.selection?.[edge] ?? 0 });
    this.edges[EDGES.indexOf(edge)].focus({ preventScroll: true }); // it may have been hidden
  }

  /** Select from where the selection began, else from the position. @param {number} seconds */
  #extend(seconds) {
    const anchor = this.selection ? this.#anchor : this.position;
    const { start, end } = this.selection ?? { start: anchor, end: anchor };
    const moving = anchor === start ? end : start;
    const span = between(anchor, moving + seconds, this.duration);
    this.select(span, anchor);
    this.reveal(anchor <= moving ? { start: span.end, end: span.end } : span);
  }

  // Pointers

  /** The time at a place of the page. @param {number} x pixels */
  #timeAt(x) {
    const { left, width } = this.node.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (x - left) / width));
    return this.view.start + share * lengthOf(this.view);
  }

  /** @param {PointerEvent} event */
  #press({ button, isPrimary, clientX: x, pointerId, target }) {
    if (button || !isPrimary || !this.duration) return;
    const edge = edgeOf(target);
    const anchor = edge && this.selection ? this.selection[edge === "start" ? "end" : "start"]
      : this.#timeAt(x);
    this.#drag = { edge, x, anchor, moved: false };
    this.node.setPointerCapture(pointerId);
  }

  /** @param {PointerEvent} event */
  #move({ clientX: x }) {
    const drag = this.#drag;
    if (!drag || (!drag.moved && Math.abs(x - drag.x) < DRAG_PIXELS)) return;
    drag.moved = true;
    if (this.selectable) this.select(between(drag.anchor, this.#timeAt(x), this.duration), drag.anchor);
    else this.#onSeek(this.#timeAt(x), false);
  }

  /** @param {PointerEvent} event */
  #release({ clientX: x }) {
    const drag = this.#drag;
    this.#drag = null;
    if (drag && !drag.edge && !(drag.moved && this.selectable)) this.#onSeek(this.#timeAt(x), true);
  }

  /** Zoom with Ctrl, or a pinch, at the pointer; move to the sides. @param {WheelEvent} event */
  #turn(event) {
    const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
    if (event.ctrlKey) this.zoom(2 ** (-event.deltaY / 100), this.#timeAt(event.clientX));
    else if (this.isZoomed && Math.abs(sideways) > Math.abs(event.shiftKey ? 0 : event.deltaY)) {
      this.pan(sideways / this.node.clientWidth);
    } else return;
    event.preventDefault();
  }

  // Keys

  /** @param {KeyboardEvent} event */
  #handleKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (this.#act(event) !== false) event.preventDefault();
  }

  /** Returns false for keys that are left to the browser. @param {KeyboardEvent} event */
  #act({ key, shiftKey, target }) {
    const edge = edgeOf(target);
    const step = (STEPS[key] ?? 0) * lengthOf(this.view) / 100;
    if (key === "+" || key === "=") return this.zoom(ZOOM_STEP);
    if (key === "-") return this.zoom(1 / ZOOM_STEP);
    if (key === "0") return this.showAll();
    if (key === "Escape" && this.selection) return this.select(null);
    if (edge && key === "Home") return this.#moveEdge(edge, 0);
    if (edge && key === "End") return this.#moveEdge(edge, this.duration);
    if (!step) return false;
    if (edge) return this.#moveEdge(edge, (this.selection?.[edge] ?? 0) + (shiftKey ? 10 : 1) * step);
    if (shiftKey) return this.#extend(step);
    if (!this.isZoomed) return false;
    return this.#onSeek(Math.min(Math.max(0, this.position + step), this.duration), false);
  }
}

/** The edge of a selection that this is the handle of. @param {EventTarget | null} target */
function edgeOf(target) {
  const edge = target instanceof HTMLElement ? target.dataset.edge : "";
  return edge === "start" || edge === "end" ? edge : undefined;
}

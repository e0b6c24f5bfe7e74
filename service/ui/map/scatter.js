/**
 * A scatter plot on a canvas. The canvas dispatches "point" (the index of the point under the
 * pointer, or -1) and "pick" (of the one that was clicked), "view" whenever the view changes, and
 * "settled" once the points have reached their places.
 */

import { Viewport, normalise } from "./viewport.js";

/** @import { Pair } from "./viewport.js" */

const CLICK_PX = 4; // a pointer that moves further pans
const MOVE_MS = 600; // from old places to new ones
const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");

/** Shapes of the markers, which differ as well as their colours; the last is for all other points. */
export const MARKERS = [
  "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0Z",
  "M-4.5-4.5h9v9h-9Z",
  "M0-6L5.6 4.2H-5.6Z",
  "M0-6.4L6 0L0 6.4L-6 0Z",
  "M0 6L5.6-4.2H-5.6Z",
  "M-2-6h4v4h4v4h-4v4h-4v-4h-4v-4h4Z",
  "M0-6L5.2-3V3L0 6L-5.2 3V-3Z",
  "M-5-2.6L-2.6-5L0-2.4L2.6-5L5-2.6L2.4 0L5 2.6L2.6 5L0 2.4L-2.6 5L-5 2.6L-2.4 0Z",
  "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0Z",
];

export class Scatter {
  viewport = new Viewport();
  markers = new Uint8Array(0); // the marker of each point
  /** @type {{text: string, x: number, y: number}[]} */
  labels = [];
  current = -1; // the point under the pointer, or reached by keys
  selected = -1;
  pixelRatio = 1;
  #stale = true; // the layer of points
  #drawing = 0; // requests of animation frames
  #moving = 0;
  #dragged = 0; // px
  /** @type {Map<number, Pair>} */
  #pointers = new Map(); // places of the pressed pointers

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.layer = document.createElement("canvas"); // all points, drawn when the view changes
    this.colours = getComputedStyle(canvas);
    new ResizeObserver(() => this.#resize()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
    this.#listen();
  }

  /**
   * Show these points. Those that were shown before move to their new places.
   *
   * @param {number[]} newX
   * @param {number[]} newY
   * @param {number[] | null} [previous] the index that each point had before, or -1
   */
  setPoints(newX, newY, previous = null) {
    const [[x, width], [y, height]] = [normalise(newX), normalise(newY)];
    const view = this.viewport;
    view.aspect = width / height;
    cancelAnimationFrame(this.#moving);
    if (!previous || reducedMotion.matches || !previous.some((index) => index >= 0)) return this.#settle(x, y);
    const [oldX, oldY] = [view.x, view.y];
    const startX = x.map((value, point) => (previous[point] >= 0 ? oldX[previous[point]] : value));
    const startY = y.map((value, point) => (previous[point] >= 0 ? oldY[previous[point]] : value));
    [view.x, view.y] = [Float32Array.from(startX), Float32Array.from(startY)];
    const begin = performance.now();
    /** @param {number} now */
    const step = (now) => {
      const part = Math.min(1, Math.max(0, now - begin) / MOVE_MS);
      const ease = part * part * (3 - 2 * part);
      if (part >= 1) return this.#settle(x, y);
      for (let point = 0; point < x.length; point++) {
        view.x[point] = startX[point] + ease * (x[point] - startX[point]);
        view.y[point] = startY[point] + ease * (y[point] - startY[point]);
      }
      this.redraw();
      this.#moving = requestAnimationFrame(step);
    };
    this.#moving = requestAnimationFrame(step);
  }

  /** @param {number[]} x @param {number[]} y */
  #settle(x, y) {
    [this.viewport.x, this.viewport.y] = [Float32Array.from(x), Float32Array.from(y)];
    this.canvas.dispatchEvent(new Event("settled"));
    this.#viewChanged();
  }

  // The view

  #resize() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !height) return;
    this.viewport.size = [width, height];
    this.pixelRatio = devicePixelRatio || 1;
    for (const canvas of [this.canvas, this.layer]) {
      canvas.width = Math.round(width * this.pixelRatio);
      canvas.height = Math.round(height * this.pixelRatio);
    }
    this.#viewChanged();
  }

  /** @param {Parameters<Viewport["zoomBy"]>} zoom */
  zoomBy(...zoom) {
    this.viewport.zoomBy(...zoom);
    this.#viewChanged();
  }

  /** @param {number} right px @param {number} down px */
  moveBy(right, down) {
    this.viewport.moveBy(right, down);
    this.#viewChanged();
  }

  showAll() {
    this.viewport.showAll();
    this.#viewChanged();
  }

  /** Make a point the current one, and bring it into view. @param {number} point */
  goTo(point) {
    this.current = point;
    if (!this.viewport.isNearEdge(point)) return this.draw();
    this.viewport.centreOn(this.viewport.x[point], this.viewport.y[point]);
    this.#viewChanged();
  }

  #viewChanged() {
    this.canvas.classList.toggle("zoomed", this.viewport.zoom > 1);
    this.redraw();
    this.canvas.dispatchEvent(new Event("view"));
  }

  // Drawing

  /** Draw the points anew, and all else. */
  redraw() {
    this.#stale = true;
    this.draw();
  }

  /** Draw the labels and the current and the selected point anew. */
  draw() {
    if (this.#drawing) return;
    this.#drawing = requestAnimationFrame(() => {
      this.#drawing = 0;
      if (!this.viewport.size[0]) return;
      if (this.#stale) this.#drawPoints();
      this.#stale = false;
      this.#drawAll();
    });
  }

  #drawPoints() {
    const context = this.layer.getContext("2d");
    if (!context) return;
    context.clearRect(0, 0, this.layer.width, this.layer.height);
    const { size: [width, height], x, highlighted, zoom } = this.viewport;
    const radius = Math.min(9, Math.max(2.2, 44 / x.length ** 0.36) * zoom ** 0.3);
    const plain = this.#sprites(radius);
    const large = highlighted ? this.#sprites(Math.max(radius * 1.25, 4)) : plain;
    for (const foreground of highlighted ? [false, true] : [true]) {
      context.globalAlpha = foreground ? 1 : 0.22;
      const sprites = foreground ? large : plain;
      for (let point = 0; point < x.length; point++) {
        if (highlighted && highlighted.has(point) !== foreground) continue;
        const [left, top] = this.viewport.placeOf(point);
        if (left < -10 || top < -10 || left > width + 10 || top > height + 10) continue;
        const sprite = sprites[this.markers[point] ?? MARKERS.length - 1];
        context.drawImage(sprite, Math.round(left * this.pixelRatio - sprite.width / 2),
          Math.round(top * this.pixelRatio - sprite.height / 2));
      }
    }
    context.globalAlpha = 1;
  }

  /** The markers as images. @param {number} radius px */
  #sprites(radius) {
    return MARKERS.map((marker, index) => {
      const sprite = document.createElement("canvas");
      sprite.width = sprite.height = Math.ceil((2 * radius + 3) * this.pixelRatio);
      const context = sprite.getContext("2d");
      if (!context) return sprite;
      context.translate(sprite.width / 2, sprite.height / 2);
      context.scale(radius * this.pixelRatio / 6, radius * this.pixelRatio / 6);
      context.fillStyle = this.#colour(`--map-${index}`);
      context.strokeStyle = this.#colour("--card");
      context.lineWidth = radius > 3 ? 1.2 : 0;
      const path = new Path2D(marker);
      if (radius > 3) context.stroke(path);
      context.fill(path);
      return sprite;
    });
  }

  /** @param {string} name of a custom property */
  #colour(name) {
    return this.colours.getPropertyValue(name);
  }

  #drawAll() {
    const context = this.canvas.getContext("2d");
    if (!context) return;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.drawImage(this.layer, 0, 0);
    context.setTransform(this.pixelRatio, 0, 0, this.pixelRatio, 0, 0);
    const [ink, paper, marker] = ["--ink", "--card", "--marker"].map((name) => this.#colour(name));
    context.font = `600 13px ${this.colours.fontFamily}`;
    context.textAlign = "center";
    context.lineJoin = "round";
    for (const { text, x, y } of this.labels) {
      const [left, top] = this.viewport.toPlace(x, y);
      context.lineWidth = 4;
      context.strokeStyle = paper;
      context.strokeText(text, left, top - 12);
      context.fillStyle = ink;
      context.fillText(text, left, top - 12);
    }
    this.#drawRing(context, this.selected, marker, ink);
    this.#drawRing(context, this.current, paper, ink);
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {number} point
   * @param {string} inner
   * @param {string} outer
   */
  #drawRing(context, point, inner, outer) {
    if (point < 0 || point >= this.viewport.x.length) return;
    context.beginPath();
    context.arc(...this.viewport.placeOf(point), 10, 0, 7);
    context.lineWidth = 5;
    context.strokeStyle = inner;
    context.stroke();
    context.lineWidth = 2;
    context.strokeStyle = outer;
    context.stroke();
  }

  // Pointers

  #listen() {
    const { canvas } = this;
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#up(event));
    canvas.addEventListener("pointercancel", (event) => this.#pointers.delete(event.pointerId));
    canvas.addEventListener("pointerleave", (event) => {
      if (!this.#pointers.size && event.pointerType === "mouse") this.#dispatch("point", -1);
    });
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    if (event.deltaY > 0 && this.viewport.zoom === 1) return; // the page scrolls
    event.preventDefault();
    const pixels = event.deltaY * (event.deltaMode ? 16 : 1);
    this.zoomBy(Math.exp(-Math.max(-120, Math.min(120, pixels)) / (event.ctrlKey ? 60 : 240)),
      event.offsetX, event.offsetY);
  }

  /** @param {PointerEvent} event */
  #down(event) {
    if (event.button) return;
    this.#pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
    this.#dragged = this.#pointers.size > 1 ? Infinity : 0;
    this.canvas.setPointerCapture(event.pointerId);
  }

  /** @param {PointerEvent} event */
  #move(event) {
    const before = this.#pointers.get(event.pointerId);
    /** @type {Pair} */
    const now = [event.offsetX, event.offsetY];
    if (!before) return this.#dispatch("point", this.viewport.nearest(...now));
    const other = [...this.#pointers].find(([id]) => id !== event.pointerId)?.[1];
    this.#pointers.set(event.pointerId, now);
    const [right, down] = [now[0] - before[0], now[1] - before[1]];
    this.#dragged += Math.hypot(right, down);
    if (other) {
      /** @param {Pair} place */
      const distance = (place) => Math.hypot(place[0] - other[0], place[1] - other[1]) || 1;
      this.zoomBy(distance(now) / distance(before), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
      this.moveBy(right / 2, down / 2);
    } else if (this.#dragged > CLICK_PX) {
      this.moveBy(right, down);
    }
  }

  /** @param {PointerEvent} event */
  #up(event) {
    if (!this.#pointers.delete(event.pointerId)) return;
    if (this.#dragged > CLICK_PX || this.#pointers.size) return;
    this.#dispatch("pick", this.viewport.nearest(event.offsetX, event.offsetY));
  }

  /** @param {string} name @param {number} point */
  #dispatch(name, point) {
    this.canvas.dispatchEvent(new CustomEvent(name, { detail: point }));
  }
}

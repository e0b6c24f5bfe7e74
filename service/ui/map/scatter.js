/**
 * Points on a canvas: drawn, zoomed, moved, found by pointer and by arrow keys.
 *
 * What is pointed at is told by events of the canvas: "point" (the point's number or -1) and "pick";
 * "view" whenever another part is seen, "settled" when points stand at their places.
 */

const PAD = 28; // px, free around all points
const STRETCH = 1.7; // how much longer one side may be drawn
const NEAR = 18; // px, how near the pointer must be
const MOST_ZOOM = 60;
const TURN_MS = 600; // from old places to new ones
const still = matchMedia("(prefers-reduced-motion: reduce)");

/** Marks told apart by form as well as by colour; the last is for all other points. */
export const FORMS = [
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

/** Values brought to 0..1, and how far they were apart. */
function spread(values) {
  let [least, most] = [Infinity, -Infinity];
  for (const value of values) [least, most] = [Math.min(least, value), Math.max(most, value)];
  const length = Math.max(most - least, 1e-6);
  return [values.map((value) => (most > least ? (value - least) / length : 0.5)), length];
}

export class Chart {
  constructor(canvas) {
    this.canvas = canvas;
    this.layer = document.createElement("canvas"); // all points, drawn when the view changes
    this.x = this.y = new Float32Array(0);
    this.kinds = new Uint8Array(0); // which form each point has
    this.labels = []; // {text, x, y}
    this.marked = null; // the set of points that stand out; null: none does
    this.current = this.pinned = -1;
    this.zoom = this.aspect = 1;
    this.middle = [0.5, 0.5];
    this.size = [0, 0];
    this.fingers = new Map();
    new ResizeObserver(() => this.resize()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.paint());
    this.listen();
  }

  /** Show these points, moving those that were there to their new places (`from`: old numbers). */
  put(placesX, placesY, from = null) {
    const [[x, across], [y, down]] = [placesX, placesY].map(spread);
    this.aspect = across / down;
    const [oldX, oldY] = [this.x, this.y];
    const there = from && !still.matches && from.some((number) => number >= 0);
    this.x = Float32Array.from(x, (value, point) => (there && from[point] >= 0 ? oldX[from[point]] : value));
    this.y = Float32Array.from(y, (value, point) => (there && from[point] >= 0 ? oldY[from[point]] : value));
    cancelAnimationFrame(this.turning);
    if (!there) return this.settle(x, y);
    const [beginX, beginY] = [this.x.slice(), this.y.slice()];
    const begun = performance.now();
    const step = (now) => {
      const part = Math.min(1, Math.max(0, now - begun) / TURN_MS);
      const ease = part * part * (3 - 2 * part);
      if (part >= 1) return this.settle(x, y);
      for (let point = 0; point < x.length; point++) {
        this.x[point] = beginX[point] + ease * (x[point] - beginX[point]);
        this.y[point] = beginY[point] + ease * (y[point] - beginY[point]);
      }
      this.paint();
      this.turning = requestAnimationFrame(step);
    };
    this.turning = requestAnimationFrame(step);
  }

  settle(x, y) {
    this.x = Float32Array.from(x);
    this.y = Float32Array.from(y);
    this.canvas.dispatchEvent(new Event("settled"));
    this.changed();
  }

  // Where things are

  resize() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !height) return;
    this.size = [width, height];
    this.dots = devicePixelRatio || 1;
    for (const each of [this.canvas, this.layer]) {
      each.width = Math.round(width * this.dots);
      each.height = Math.round(height * this.dots);
    }
    this.changed();
  }

  /** px of one unit, each way: as much as there is, but not too unlike what they were. */
  get scales() {
    const [width, height] = this.size.map((length) => Math.max(1, length - 2 * PAD));
    const wide = width / height / this.aspect;
    return [width / Math.max(1, wide / STRETCH) * this.zoom, height * Math.min(1, wide * STRETCH) * this.zoom];
  }

  where(x, y) {
    const [across, down] = this.scales;
    return [this.size[0] / 2 + (x - this.middle[0]) * across, this.size[1] / 2 + (y - this.middle[1]) * down];
  }

  at(left, top) {
    const [across, down] = this.scales;
    return [this.middle[0] + (left - this.size[0] / 2) / across, this.middle[1] + (top - this.size[1] / 2) / down];
  }

  /** The point nearest to a place in px, if it is near: all are looked at, which takes 0.1 ms. */
  nearest(left, top) {
    const [[x, y], [across, down]] = [this.at(left, top), this.scales];
    let [best, least] = [-1, NEAR * NEAR];
    for (let point = 0; point < this.x.length; point++) {
      let away = ((this.x[point] - x) * across) ** 2 + ((this.y[point] - y) * down) ** 2;
      if (away > least) continue;
      if (this.marked && !this.marked.has(point)) away += NEAR * NEAR / 2; // others come first
      if (away < least) [best, least] = [point, away];
    }
    return best;
  }

  /** The point to go to in a direction: near, and not far from straight. */
  towards(right, down) {
    const [x, y] = this.current < 0 ? this.size.map((length) => length / 2)
      : this.where(this.x[this.current], this.y[this.current]);
    let [best, least] = [-1, Infinity];
    for (let point = 0; point < this.x.length; point++) {
      if (point === this.current || (this.marked && !this.marked.has(point))) continue;
      const [left, top] = this.where(this.x[point], this.y[point]);
      const ahead = (left - x) * right + (top - y) * down;
      const aside = Math.abs((left - x) * down) + Math.abs((top - y) * right);
      if (ahead < 0.5 || aside > 2 * ahead) continue;
      const cost = ahead + 2 * aside;
      if (cost < least) [best, least] = [point, cost];
    }
    return best;
  }

  /** Points in the part that is seen. */
  seen() {
    const [from, to] = [this.at(0, 0), this.at(...this.size)];
    const found = [];
    for (let point = 0; point < this.x.length; point++) {
      if (this.x[point] >= from[0] && this.x[point] <= to[0]
        && this.y[point] >= from[1] && this.y[point] <= to[1]) found.push(point);
    }
    return found;
  }

  // Moving

  zoomBy(factor, left = this.size[0] / 2, top = this.size[1] / 2) {
    const [x, y] = this.at(left, top);
    this.zoom = Math.min(MOST_ZOOM, Math.max(1, this.zoom * factor));
    const [across, down] = this.scales;
    this.moveTo(x - (left - this.size[0] / 2) / across, y - (top - this.size[1] / 2) / down);
  }

  moveBy(right, down) {
    const [across, along] = this.scales;
    this.moveTo(this.middle[0] - right / across, this.middle[1] - down / along);
  }

  moveTo(x, y) {
    const [across, down] = this.scales;
    // To the last point and no further; nowhere when all are seen.
    const free = [across, down].map((scale, side) =>
      Math.max(0, 0.5 + (PAD - this.size[side] / 2) / scale));
    this.middle = [x, y].map((value, side) => Math.min(0.5 + free[side], Math.max(0.5 - free[side], value)));
    this.changed();
  }

  fit() {
    this.zoom = 1;
    this.moveTo(0.5, 0.5);
  }

  /** Make a point the current one, and see to it that it is seen. */
  goTo(point) {
    this.current = point;
    const [left, top] = this.where(this.x[point], this.y[point]);
    const [width, height] = this.size;
    if (left < PAD || top < PAD || left > width - PAD || top > height - PAD) this.moveTo(this.x[point], this.y[point]);
    else this.draw();
  }

  changed() {
    this.canvas.classList.toggle("zoomed", this.zoom > 1);
    this.paint();
    this.canvas.dispatchEvent(new Event("view"));
  }

  // Drawing

  paint() {
    this.stale = true;
    this.draw();
  }

  draw() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = 0;
      if (!this.size[0]) return;
      if (this.stale) this.drawPoints();
      this.stale = false;
      this.drawAll();
    });
  }

  drawPoints() {
    const pen = this.layer.getContext("2d");
    pen.clearRect(0, 0, this.layer.width, this.layer.height);
    const [width, height] = this.size;
    const size = Math.min(9, Math.max(2.2, 44 / this.x.length ** 0.36) * this.zoom ** 0.3);
    const plain = this.sprites(size);
    const bold = this.marked ? this.sprites(Math.max(size * 1.25, 4)) : plain;
    for (const standing of this.marked ? [false, true] : [true]) {
      pen.globalAlpha = standing ? 1 : 0.22;
      const sprites = standing ? bold : plain;
      for (let point = 0; point < this.x.length; point++) {
        if (this.marked && this.marked.has(point) !== standing) continue;
        const [left, top] = this.where(this.x[point], this.y[point]);
        if (left < -10 || top < -10 || left > width + 10 || top > height + 10) continue;
        const sprite = sprites[this.kinds[point] ?? FORMS.length - 1];
        pen.drawImage(sprite, Math.round(left * this.dots - sprite.width / 2),
          Math.round(top * this.dots - sprite.height / 2));
      }
    }
    pen.globalAlpha = 1;
  }

  sprites(size) {
    this.colours = getComputedStyle(this.canvas);
    return FORMS.map((form, kind) => {
      const sprite = document.createElement("canvas");
      sprite.width = sprite.height = Math.ceil((2 * size + 3) * this.dots);
      const pen = sprite.getContext("2d");
      pen.translate(sprite.width / 2, sprite.height / 2);
      pen.scale(size * this.dots / 6, size * this.dots / 6);
      pen.fillStyle = this.colours.getPropertyValue(`--map-${kind}`);
      pen.strokeStyle = this.colours.getPropertyValue("--card");
      pen.lineWidth = size > 3 ? 1.2 : 0;
      const path = new Path2D(form);
      if (size > 3) pen.stroke(path);
      pen.fill(path);
      return sprite;
    });
  }

  drawAll() {
    const pen = this.canvas.getContext("2d");
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
    pen.drawImage(this.layer, 0, 0);
    pen.setTransform(this.dots, 0, 0, this.dots, 0, 0);
    this.colours ??= getComputedStyle(this.canvas);
    const [ink, paper, marker] = ["--ink", "--card", "--marker"].map((name) => this.colours.getPropertyValue(name));
    pen.font = `600 13px ${this.colours.fontFamily}`;
    pen.textAlign = "center";
    pen.lineJoin = "round";
    for (const { text, x, y } of this.labels) {
      const [left, top] = this.where(x, y);
      pen.lineWidth = 4;
      pen.strokeStyle = paper;
      pen.strokeText(text, left, top - 12);
      pen.fillStyle = ink;
      pen.fillText(text, left, top - 12);
    }
    for (const [point, inner] of [[this.pinned, marker], [this.current, ""]]) {
      if (point < 0 || point >= this.x.length) continue;
      const [left, top] = this.where(this.x[point], this.y[point]);
      pen.beginPath();
      pen.arc(left, top, 10, 0, 7);
      pen.lineWidth = 5;
      pen.strokeStyle = inner || paper;
      pen.stroke();
      pen.lineWidth = 2;
      pen.strokeStyle = ink;
      pen.stroke();
    }
  }

  // Pointers

  listen() {
    const on = (name, action, options) => this.canvas.addEventListener(name, action, options);
    on("wheel", (event) => this.wheel(event), { passive: false });
    on("pointerdown", (event) => this.down(event));
    on("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) on(name, (event) => this.up(event));
    on("pointerleave", (event) => !this.fingers.size && event.pointerType === "mouse" && this.tell("point", -1));
  }

  wheel(event) {
    if (event.deltaY > 0 && this.zoom === 1) return; // the page scrolls
    event.preventDefault();
    const lines = event.deltaMode ? 16 : 1;
    this.zoomBy(Math.exp(-Math.max(-120, Math.min(120, event.deltaY * lines)) / (event.ctrlKey ? 60 : 240)),
      event.offsetX, event.offsetY);
  }

  down(event) {
    if (event.button) return;
    this.fingers.set(event.pointerId, [event.offsetX, event.offsetY]);
    this.travelled = this.fingers.size > 1 ? NEAR : 0;
    this.canvas.setPointerCapture(event.pointerId);
  }

  move(event) {
    const old = this.fingers.get(event.pointerId);
    const now = [event.offsetX, event.offsetY];
    if (!old) return this.tell("point", this.nearest(...now));
    const other = [...this.fingers.entries()].find(([id]) => id !== event.pointerId)?.[1];
    this.fingers.set(event.pointerId, now);
    this.travelled += Math.hypot(now[0] - old[0], now[1] - old[1]);
    if (other) {
      const apart = (place) => Math.hypot(place[0] - other[0], place[1] - other[1]) || 1;
      this.zoomBy(apart(now) / apart(old), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
      this.moveBy((now[0] - old[0]) / 2, (now[1] - old[1]) / 2);
    } else if (this.travelled > 4) {
      this.moveBy(now[0] - old[0], now[1] - old[1]);
    }
  }

  up(event) {
    if (!this.fingers.delete(event.pointerId) || event.type === "pointercancel") return;
    if (this.travelled > 4 || this.fingers.size) return;
    this.tell("pick", this.nearest(event.offsetX, event.offsetY));
  }

  tell(name, point) {
    this.canvas.dispatchEvent(new CustomEvent(name, { detail: point }));
  }
}

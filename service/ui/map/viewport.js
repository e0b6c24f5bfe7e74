/**
 * Where points are on the canvas: fitting, zoom, panning, and the points near a place or in a
 * direction. Nothing here needs the page.
 *
 * Points have coordinates from 0 to 1; places are px from the top left of the canvas.
 */

const PADDING = 28; // px, free around all points
const MAX_STRETCH = 1.7; // how much one axis may be stretched to fill the canvas
const REACH = 18; // px, how near a place must be to a point
const MAX_ZOOM = 60;

/** @typedef {[number, number]} Pair x and y */
/** @typedef {Float32Array | number[]} Values */

/** Values scaled to 0…1, and their range before. @param {number[]} values @returns {[number[], number]} */
export function normalise(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
  const range = Math.max(high - low, 1e-6);
  return [values.map((value) => (high > low ? (value - low) / range : 0.5)), range];
}

export class Viewport {
  /** @type {Values} */
  x = [];
  /** @type {Values} */
  y = [];
  /** @type {Set<number> | null} */
  highlighted = null; // the points that stand out; null: no highlight
  zoom = 1;
  aspect = 1; // width of the points by their height
  /** @type {Pair} */
  centre = [0.5, 0.5];
  /** @type {Pair} */
  size = [0, 0]; // px of the canvas

  /** px of a unit on each axis: the canvas is filled, but the points are not stretched too far. */
  get scale() {
    const [width, height] = this.size.map((length) => Math.max(1, length - 2 * PADDING));
    const excess = width / height / this.aspect;
    return [width / Math.max(1, excess / MAX_STRETCH) * this.zoom,
      height * Math.min(1, excess * MAX_STRETCH) * this.zoom];
  }

  /** The place of coordinates. @param {number} x @param {number} y @returns {Pair} */
  toPlace(x, y) {
    const [perX, perY] = this.scale;
    return [this.size[0] / 2 + (x - this.centre[0]) * perX, this.size[1] / 2 + (y - this.centre[1]) * perY];
  }

  /** The place of a point. @param {number} point */
  placeOf(point) {
    return this.toPlace(this.x[point], this.y[point]);
  }

  /** The coordinates of a place. @param {number} left @param {number} top @returns {Pair} */
  toCoordinates(left, top) {
    const [perX, perY] = this.scale;
    return [this.centre[0] + (left - this.size[0] / 2) / perX,
      this.centre[1] + (top - this.size[1] / 2) / perY];
  }

  /** The point nearest to a place and within reach, highlighted ones first; else -1. A linear scan
   * of a large map takes 0.1 ms.
   * @param {number} left @param {number} top */
  nearest(left, top) {
    const [[x, y], [perX, perY]] = [this.toCoordinates(left, top), this.scale];
    let [best, least] = [-1, REACH * REACH];
    for (let point = 0; point < this.x.length; point++) {
      let distance = ((this.x[point] - x) * perX) ** 2 + ((this.y[point] - y) * perY) ** 2;
      if (distance > least) continue;
      if (this.highlighted && !this.highlighted.has(point)) distance += REACH * REACH / 2;
      if (distance < least) [best, least] = [point, distance];
    }
    return best;
  }

  /**
   * The next point in a direction: near, and not far to the side; else -1.
   *
   * @param {number} from a point; -1: the middle of the canvas
   * @param {number} right -1, 0 or 1
   * @param {number} down -1, 0 or 1
   */
  towards(from, right, down) {
    const [x, y] = from < 0 ? this.size.map((length) => length / 2) : this.placeOf(from);
    let [best, least] = [-1, Infinity];
    for (let point = 0; point < this.x.length; point++) {
      if (point === from || (this.highlighted && !this.highlighted.has(point))) continue;
      const [left, top] = this.placeOf(point);
      const ahead = (left - x) * right + (top - y) * down;
      const aside = Math.abs((left - x) * down) + Math.abs((top - y) * right);
      if (ahead < 0.5 || aside > 2 * ahead) continue;
      const cost = ahead + 2 * aside;
      if (cost < least) [best, least] = [point, cost];
    }
    return best;
  }

  /** The points in view. */
  visible() {
    const [low, high] = [this.toCoordinates(0, 0), this.toCoordinates(...this.size)];
    const found = [];
    for (let point = 0; point < this.x.length; point++) {
      if (this.x[point] >= low[0] && this.x[point] <= high[0]
        && this.y[point] >= low[1] && this.y[point] <= high[1]) found.push(point);
    }
    return found;
  }

  /** Whether a point lies outside the padding. @param {number} point */
  isNearEdge(point) {
    return this.placeOf(point).some((place, axis) => place < PADDING || place > this.size[axis] - PADDING);
  }

  /** Zoom around a place, which stays. */
  zoomBy(/** @type {number} */ factor, left = this.size[0] / 2, top = this.size[1] / 2) {
    const [x, y] = this.toCoordinates(left, top);
    this.zoom = Math.min(MAX_ZOOM, Math.max(1, this.zoom * factor));
    const [perX, perY] = this.scale;
    this.centreOn(x - (left - this.size[0] / 2) / perX, y - (top - this.size[1] / 2) / perY);
  }

  /** Move the points by px. @param {number} right @param {number} down */
  moveBy(right, down) {
    const [perX, perY] = this.scale;
    this.centreOn(this.centre[0] - right / perX, this.centre[1] - down / perY);
  }

  /** Centre on coordinates, but no further than the last points. @param {number} x @param {number} y */
  centreOn(x, y) {
    const [freeX, freeY] = this.scale.map((scale, axis) =>
      Math.max(0, 0.5 + (PADDING - this.size[axis] / 2) / scale));
    this.centre = [clamp(x, freeX), clamp(y, freeY)];
  }

  showAll() {
    this.zoom = 1;
    this.centreOn(0.5, 0.5);
  }
}

/** @param {number} value @param {number} free distance from the middle */
const clamp = (value, free) => Math.min(0.5 + free, Math.max(0.5 - free, value));

/**
 * Which tags are coloured, which colour a sound has, and where a tag's name stands. Nothing here
 * needs the page. Tags are indices into the map's names; `tags` holds those of each point, the most
 * frequent first.
 */

/** @import { Values } from "./viewport.js" */

const CELLS = 9; // of the grid in which a tag's sounds are counted, each way
const MIN_SHARE = 0.12; // of a tag's sounds in its fullest cell, for a label
const MIN_SOUNDS = 3; // there
const MIN_DISTANCE = [0.12, 0.05]; // between labels, each way

/**
 * The coloured tags, with the most frequent of those sounds that have no colour yet added.
 *
 * @param {number[][]} tags
 * @param {number} names how many tags there are
 * @param {number[]} coloured so far
 * @param {number} limit
 */
export function addColours(tags, names, coloured, limit) {
  const all = [...coloured];
  while (all.length < Math.min(limit, names)) all.push(nextColour(tags, names, all));
  return all;
}

/** @param {number[][]} tags @param {number} names @param {number[]} coloured */
function nextColour(tags, names, coloured) {
  const counts = new Uint32Array(names);
  for (const tagsOfPoint of tags) {
    if (!tagsOfPoint.some((tag) => coloured.includes(tag))) tagsOfPoint.forEach((tag) => { counts[tag] += 1; });
  }
  let best = counts.findIndex((_, tag) => !coloured.includes(tag));
  counts.forEach((times, tag) => { if (times > counts[best]) best = tag; });
  return best;
}

/** The colour of a point: that of its rarest coloured tag, which says most; else `other`.
 * @param {number[]} tags @param {number[]} coloured @param {number} other */
export function colourOf(tags, coloured, other) {
  const rarest = tags.findLast((tag) => coloured.includes(tag));
  return rarest === undefined ? other : coloured.indexOf(rarest);
}

/**
 * Labels for colours whose sounds lie together: above the fullest cell of a grid.
 *
 * @param {Values} x
 * @param {Values} y
 * @param {Uint8Array} colours of the points
 * @param {string[]} texts by colour
 */
export function placeLabels(x, y, colours, texts) {
  /** @type {{text: string, x: number, y: number}[]} */
  const labels = [];
  texts.forEach((text, colour) => {
    const points = [...colours.keys()].filter((point) => colours[point] === colour);
    const fullest = fullestCell(points, x, y);
    if (fullest.length < Math.max(MIN_SOUNDS, MIN_SHARE * points.length)) return; // they lie everywhere
    const label = {
      text,
      x: fullest.reduce((sum, point) => sum + x[point], 0) / fullest.length,
      y: Math.min(...fullest.map((point) => y[point])),
    };
    const isFree = labels.every((other) =>
      Math.abs(other.x - label.x) > MIN_DISTANCE[0] || Math.abs(other.y - label.y) > MIN_DISTANCE[1]);
    if (isFree) labels.push(label);
  });
  return labels;
}

/** @param {number[]} points @param {Values} x @param {Values} y @returns {number[]} */
function fullestCell(points, x, y) {
  /** @type {Map<string, number[]>} */
  const cells = new Map();
  for (const point of points) {
    const cell = `${Math.round(x[point] * CELLS)} ${Math.round(y[point] * CELLS)}`;
    const inCell = cells.get(cell);
    if (inCell) inCell.push(point);
    else cells.set(cell, [point]);
  }
  return [...cells.values()].reduce((best, cell) => (cell.length > best.length ? cell : best), []);
}

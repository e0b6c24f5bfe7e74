import assert from "node:assert/strict";
import { test } from "node:test";

import { Viewport, normalise } from "../../../../service/ui/map/viewport.js";

/** A viewport of 1000 × 600 px with these points. @param {...[number, number]} points */
function viewportOf(...points) {
  const viewport = new Viewport();
  viewport.size = [1000, 600];
  viewport.aspect = 1000 / 600;
  viewport.x = points.map(([x]) => x);
  viewport.y = points.map(([, y]) => y);
  return viewport;
}

/** @param {number[]} values @param {number[]} expected */
function assertClose(values, expected) {
  values.forEach((value, place) => assert.ok(Math.abs(value - expected[place]) < 1e-6, `${values} ≠ ${expected}`));
}

const CORNERS = /** @type {[number, number][]} */ ([[0, 0], [1, 0], [0, 1], [1, 1]]);

test("values are scaled to 0…1", () => {
  assert.deepEqual(normalise([2, 4, 3]), [[0, 1, 0.5], 2]);
  assert.deepEqual(normalise([7, 7]), [[0.5, 0.5], 1e-6]);
});

test("all points fit, with padding", () => {
  const viewport = viewportOf(...CORNERS);
  assertClose(viewport.placeOf(0), [28, 28]);
  assertClose(viewport.placeOf(3), [972, 572]);
  assert.deepEqual(viewport.visible(), [0, 1, 2, 3]);
});

test("points are not stretched by more than 1.7", () => {
  const viewport = viewportOf(...CORNERS);
  for (const aspect of [0.05, 20]) {
    viewport.aspect = aspect;
    const [perX, perY] = viewport.scale;
    const stretch = perX / perY / aspect;
    assertClose([Math.max(stretch, 1 / stretch)], [1.7]);
    assert.equal(viewport.visible().length, 4);
  }
});

test("places and coordinates are inverse", () => {
  const viewport = viewportOf(...CORNERS);
  viewport.zoomBy(3, 200, 100);
  assertClose(viewport.toCoordinates(...viewport.toPlace(0.3, 0.7)), [0.3, 0.7]);
});

test("zooming leaves the place under the pointer", () => {
  const viewport = viewportOf(...CORNERS);
  const before = viewport.toCoordinates(400, 300);
  viewport.zoomBy(4, 400, 300);
  assertClose(viewport.toCoordinates(400, 300), before);
  viewport.zoomBy(1e9);
  assert.equal(viewport.zoom, 60);
  viewport.zoomBy(1e-9);
  assertClose([viewport.zoom, ...viewport.centre], [1, 0.5, 0.5]); // all are seen: no panning
});

test("panning ends at the last points", () => {
  const viewport = viewportOf(...CORNERS);
  viewport.zoomBy(5);
  viewport.moveBy(1e6, 1e6);
  assertClose(viewport.placeOf(0), [28, 28]);
  viewport.moveBy(-1e6, -1e6);
  assertClose(viewport.placeOf(3), [972, 572]);
  viewport.showAll();
  assertClose([viewport.zoom, ...viewport.centre], [1, 0.5, 0.5]);
});

test("the nearest point is within reach, and highlighted ones come first", () => {
  const viewport = viewportOf([0.5, 0.5], [0.51, 0.5]);
  assert.equal(viewport.nearest(...viewport.placeOf(0)), 0);
  assert.equal(viewport.nearest(500, 330), -1);
  viewport.highlighted = new Set([1]);
  assert.equal(viewport.nearest(...viewport.placeOf(0)), 1);
});

test("the nearest point is that of a full search", () => {
  const random = (/** @type {number} */ seed) => Math.abs(Math.sin(seed * 12.9898) * 43758.5453) % 1;
  const points = Array.from({ length: 200 }, (_, i) => /** @type {[number, number]} */ ([random(i), random(i + 500)]));
  const viewport = viewportOf(...points);
  for (let trial = 0; trial < 200; trial += 1) {
    const [left, top] = [1000 * random(trial + 900), 600 * random(trial + 1300)];
    const distances = points.map((_, i) => {
      const [x, y] = viewport.placeOf(i);
      return Math.hypot(x - left, y - top);
    });
    const least = Math.min(...distances);
    assert.equal(viewport.nearest(left, top), least < 18 ? distances.indexOf(least) : -1);
  }
});

test("arrows lead to the next point ahead, not to the side or back", () => {
  const viewport = viewportOf([0.2, 0.5], [0.4, 0.55], [0.9, 0.5], [0.3, 0.9]);
  assert.equal(viewport.towards(0, 1, 0), 1);
  assert.equal(viewport.towards(1, 1, 0), 2);
  assert.equal(viewport.towards(2, 1, 0), -1);
  assert.equal(viewport.towards(2, -1, 0), 1);
  assert.equal(viewport.towards(-1, 0, 1), 3); // from the middle
  viewport.highlighted = new Set([2]);
  assert.equal(viewport.towards(0, 1, 0), 2);
});

test("points near the edge need to be brought into view", () => {
  const viewport = viewportOf([0.5, 0.5], [0.05, 0.5]);
  viewport.zoomBy(1.5);
  assert.deepEqual([viewport.isNearEdge(0), viewport.isNearEdge(1)], [false, true]);
  viewport.centreOn(0.05, 0.5);
  assert.equal(viewport.isNearEdge(1), false);
});

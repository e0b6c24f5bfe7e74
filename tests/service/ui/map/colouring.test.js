import assert from "node:assert/strict";
import { test } from "node:test";

import { addColours, colourOf, placeLabels } from "../../../../service/ui/map/colouring.js";

test("the next colour is the most frequent tag of sounds without one", () => {
  const tags = [[0, 1], [0, 1], [0, 2], [3], [3], [4]];
  assert.deepEqual(addColours(tags, 5, [], 3), [0, 3, 4]);
  assert.deepEqual(addColours(tags, 5, [4], 2), [4, 0]);
});

test("there are no more colours than tags, and none is lost", () => {
  assert.deepEqual(addColours([[0], [1]], 2, [1], 8), [1, 0]);
  assert.deepEqual(addColours([], 0, [], 8), []);
});

test("tags go on when every sound has a colour", () => {
  assert.deepEqual(addColours([[0, 1], [0, 2]], 3, [], 3), [0, 1, 2]);
});

test("a sound has the colour of its rarest coloured tag", () => {
  assert.equal(colourOf([0, 3, 5], [3, 0, 7], 8), 0); // tag 3 is rarer than tag 0
  assert.equal(colourOf([0, 5], [3, 0, 7], 8), 1);
  assert.equal(colourOf([5], [3, 0, 7], 8), 8);
});

test("a label stands above the fullest cell of its colour", () => {
  const x = [0.1, 0.11, 0.12, 0.9];
  const y = [0.21, 0.22, 0.2, 0.9];
  const [label] = placeLabels(x, y, Uint8Array.of(0, 0, 0, 0), ["rain"]);
  assert.equal(label.text, "rain");
  assert.ok(Math.abs(label.x - 0.11) < 1e-9);
  assert.equal(label.y, 0.2);
});

test("colours that lie everywhere, or few sounds, have no label", () => {
  const spread = Array.from({ length: 81 }, (_, i) => i);
  const x = spread.map((i) => (i % 9) / 9);
  const y = spread.map((i) => Math.floor(i / 9) / 9);
  assert.deepEqual(placeLabels(x, y, new Uint8Array(81), ["noise"]), []);
  assert.deepEqual(placeLabels([0, 0], [0, 0], new Uint8Array(2), ["pair"]), []);
});

test("labels do not cover each other", () => {
  const x = [0, 0, 0, 0.01, 0.01, 0.01];
  const y = [0, 0, 0, 0.01, 0.01, 0.01];
  const labels = placeLabels(x, y, Uint8Array.of(0, 0, 0, 1, 1, 1), ["first", "second"]);
  assert.deepEqual(labels.map(({ text }) => text), ["first"]);
});

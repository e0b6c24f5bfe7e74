import assert from "node:assert/strict";
import { test } from "node:test";

import { between, lengthOf, merged, panned, shareOf, showing, zoomed } from "../../../../service/ui/lib/span.js";

const HOURS = 36_000;
const ALL = { start: 0, end: HOURS };

test("zooming keeps the centre where it is, and ends at half a second and at the whole", () => {
  let view = ALL;
  for (let times = 0; times < 40; times += 1) {
    view = zoomed(view, HOURS, 2, 9000);
    assert.ok(Math.abs(shareOf(view, 9000) - 0.25) < 1e-3, `${times}`);
  }
  assert.ok(Math.abs(lengthOf(view) - 0.5) < 1e-6);
  for (let times = 0; times < 40; times += 1) view = zoomed(view, HOURS, 0.5, 9000);
  assert.deepEqual(view, ALL);
});

test("a centre out of view is shown by zooming", () => {
  const view = zoomed({ start: 0, end: 100 }, HOURS, 2, 5000);
  assert.deepEqual(view, { start: 4975, end: 5025 });
});

test("views stay within the sound", () => {
  assert.deepEqual(panned({ start: 0, end: 10 }, 60, -1), { start: 0, end: 10 });
  assert.deepEqual(panned({ start: 40, end: 50 }, 60, 5), { start: 50, end: 60 });
  assert.deepEqual(zoomed({ start: 0, end: 10 }, 60, 0.5, 0), { start: 0, end: 20 });
  assert.deepEqual(zoomed({ start: 0, end: 0.2 }, 0.2, 2, 0.1), { start: 0, end: 0.2 });
});

test("a view moves only for what it does not show", () => {
  const view = { start: 10, end: 20 };
  assert.equal(showing(view, 60, { start: 10, end: 12 }), view);
  assert.deepEqual(showing(view, 60, { start: 30, end: 32 }), { start: 29, end: 39 });
  assert.deepEqual(showing(view, 60, { start: 59, end: 60 }), { start: 50, end: 60 });
  assert.deepEqual(showing(view, 60, { start: 5, end: 55 }), { start: 4, end: 54 });
});

test("a selection is ordered, rounded, within the sound and never empty", () => {
  assert.deepEqual(between(3.456, 1.234, 60), { start: 1.23, end: 3.46 });
  assert.deepEqual(between(-5, 90, 60.129), { start: 0, end: 60.12 });
  assert.deepEqual(between(2, 2, 60), { start: 2, end: 2.01 });
  assert.deepEqual(between(60, 60, 60), { start: 59.99, end: 60 });
  for (let place = 0; place < 500; place += 1) {
    const [one, other, duration] = [60 * (place * 0.618 % 1), 60 * (place * 0.3247 % 1), 1 + place / 8];
    const { start, end } = between(one, other, duration);
    assert.ok(start >= 0 && start < end && end <= duration, `${one} ${other} ${duration}`);
  }
});

test("events that are close are drawn as one", () => {
  const events = [[0, 1, 0.2], [1.5, 2, 0.9], [5, 6, 0.3], [50, 51, 0.4]]
    .map(([start, end, score]) => ({ start, end, score }));
  assert.deepEqual(merged(events, { start: 0.5, end: 50 }, 1), [
    { start: 0, end: 2, score: 0.9, count: 2 }, { start: 5, end: 6, score: 0.3, count: 1 }]);
  assert.equal(merged(events, { start: 0, end: 60 }, 0).length, 4);
});

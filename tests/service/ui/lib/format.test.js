import assert from "node:assert/strict";
import { test } from "node:test";

import * as format from "../../../../service/ui/lib/format.js";

/** @param {(value: any) => string} render @param {Record<string, any>} cases value by text */
function renders(render, cases) {
  for (const [text, value] of Object.entries(cases)) assert.equal(render(value), text);
}

test("probabilities are rounded down, and none is certain", () => {
  renders(format.percent, { "< 1 %": 0.0099, "1 %": 0.01, "29 %": 0.29, "98 %": 0.9899, "99 %": 0.99 });
  assert.equal(format.percent(1), "99 %");
});

test("clock times", () => renders(format.clock, {
  "0:00": 0.9, "0:09": 9.99, "1:05": 65, "59:59": 3599.9, "1:00:00": 3600, "10:01:07": 36_067,
}));

test("precise times", () => renders(format.preciseClock, {
  "0:00.0": 0.04, "0:00.1": 0.05, "1:00.0": 59.96, "1:02.4": 62.4, "1:00:00.5": 3600.5,
}));

test("stretches are no shorter than they are", () => {
  renders(format.clockRange, { "0:09–0:10": { start: 9.2, end: 9.4 }, "1:02–1:05": { start: 62, end: 65 } });
  assert.equal(format.preciseRange({ start: 62.44, end: 65 }), "1:02.4–1:05.0");
});

test("file sizes", () => renders(format.fileSize, { "1 kB": 1, "100 kB": 99_999, "0.1 MB": 100_000, "2.5 MB": 2.5e6 }));

test("durations take the unit that suits them", () => renders(format.duration, {
  "1 second": 1.2, "99 seconds": 99.4, "2 minutes": 100, "99 minutes": 99 * 60, "1 h 40 min": 6000,
  "99 h 59 min": 5999 * 60, "100 hours": 100 * 3600,
}));

test("counts", () => {
  assert.equal(format.count(1, "sound"), "1 sound");
  assert.equal(format.count(0, "sound"), "0 sounds");
  assert.equal(format.count(1_234_567, "sound"), "1,234,567 sounds");
});

test("titles of files", () => renders(format.titleOfFile, {
  "rain on roof": "rain_on-roof.wav", "take 2024 01 02": "take_2024-01-02.flac", "a.b": "a.b.ogg", "x": "x",
}));

test("texts are compared composed and in lower case", () => {
  assert.equal(format.key("CAFE\u0301"), "caf\u00e9");
});

test("lists and tags", () => {
  assert.deepEqual(format.splitList(" rain, ,tin roof ,"), ["rain", "tin roof"]);
  assert.deepEqual(format.splitList(""), []);
  assert.equal(format.hyphenated("big tin  roof"), "big-tin-roof");
});

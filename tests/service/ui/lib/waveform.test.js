import assert from "node:assert/strict";
import { test } from "node:test";

import { outlinePath, peaksOf } from "../../../../service/ui/lib/waveform.js";

/** A sound of these channels, as an AudioBuffer gives them. @param {...number[]} channels */
const sound = (...channels) => ({
  length: channels[0].length,
  numberOfChannels: channels.length,
  copyFromChannel: (target, channel, from) => {
    target.set(channels[channel].slice(from, from + target.length));
  },
});

test("peaks are the extremes over all channels", async () => {
  const left = [0, 0.5, -0.25, 0, 0, 0];
  const right = [0, 0, 0, 0, 1, -1];
  assert.deepEqual(await peaksOf(sound(left, right), 3),
    [[0, 63.5], [-31.75, 0], [-127, 127]]);
});

test("the parts cover every sample once", async () => {
  for (const length of [10, 97, 1000]) {
    for (let place = 0; place < length; place += 1) {
      const samples = Array.from({ length }, (_, other) => (other === place ? 1 : 0));
      const peaks = await peaksOf(sound(samples), 7);
      assert.equal(peaks.filter(([, high]) => high === 127).length, 1, `${place} of ${length}`);
    }
  }
});

test("fewer samples than points, and clipping, are no error", async () => {
  const peaks = await peaksOf(sound([2, -2]), 4);
  assert.deepEqual([peaks.length, peaks[0], peaks[3]], [4, [0, 127], [-127, 0]]);
});

test("an outline goes along the highs and back along the lows", () => {
  assert.equal(outlinePath([[-127, 127], [0, 0]]), "M0 -0.7L1 49.3L1 50.7L0 100.7Z");
});

test("faint sounds are not blown up", () => {
  const [low] = outlinePath([[-1, 1]]).match(/-?[\d.]+(?=Z)/) ?? [];
  assert.equal(Number(low), 50 * (1 + 1 / 8) + 0.7);
});

import assert from "node:assert/strict";
import { test } from "node:test";

import { byEvidence } from "../../../../service/ui/lib/tags.js";

/** @param {string} tag @param {number} score @param {number | null} lift */
const scored = (tag, score, lift) => ({ tag, score, lift, suggested: true, windows: [] });

test("tags are in order of score × lift; without a lift, of the score", () => {
  const tags = [scored("ambience", 0.6, 1), scored("rare", 0.01, 9), scored("rain", 0.3, 4), scored("new", 0.7, null)];
  assert.deepEqual(byEvidence(tags).map(({ tag }) => tag), ["rain", "new", "ambience", "rare"]);
  assert.equal(tags[0].tag, "ambience"); // the list itself stays
});

/** Items on their way: in order, one call at a time, none lost. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { SendQueue } from "../../../../service/ui/lib/send-queue.js";

/** @param {string} clip @returns {any} */
const verdict = (clip) => ({ clip, tag: "rain", verdict: "accept" });

test("verdicts that come while others are sent go with the next call", async () => {
  /** @type {string[][]} */
  const calls = [];
  /** @type {(() => void)[]} */
  const finish = [];
  const queue = new SendQueue((verdicts) => {
    calls.push(verdicts.map(({ clip }) => clip));
    return new Promise((resolve) => finish.push(() => resolve(null)));
  }, () => {});
  const all = [queue.add([verdict("a")]), queue.add([verdict("b")]), queue.add([verdict("c")])];
  assert.deepEqual([calls, queue.unsaved], [[["a"]], 3]);
  finish[0]();
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([calls, queue.unsaved], [[["a"], ["b", "c"]], 2]);
  finish[1]();
  await Promise.all(all);
  assert.equal(queue.unsaved, 0);
});

test("verdicts that could not be sent wait for the next time", async () => {
  let works = false;
  /** @type {string[]} */
  const kept = [];
  const queue = new SendQueue((verdicts) => {
    if (!works) return Promise.reject(new Error("no network"));
    kept.push(...verdicts.map(({ clip }) => clip));
    return Promise.resolve();
  }, () => {});
  await assert.rejects(queue.add([verdict("a")]), /no network/);
  works = true;
  await queue.add([verdict("b")]);
  assert.deepEqual([kept, queue.unsaved], [["a", "b"], 0]);
});

test("one that is refused for good does not keep back the others, and is told", async () => {
  /** @type {string[]} */
  const kept = [];
  const queue = new SendQueue((verdicts) => {
    const clips = verdicts.map(({ clip }) => clip);
    if (clips.includes("gone")) return Promise.reject(Object.assign(new Error("no such clip"), { status: 404 }));
    kept.push(...clips);
    return Promise.resolve();
  }, () => {});
  await assert.rejects(queue.add(["a", "b", "gone", "c", "d"].map(verdict)), /no such clip/);
  assert.deepEqual([kept, queue.unsaved], [["a", "b", "c", "d"], 0]);
});

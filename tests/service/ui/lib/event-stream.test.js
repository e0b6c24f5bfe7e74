import assert from "node:assert/strict";
import { test } from "node:test";

import { EventStream, parseJson } from "../../../../service/ui/lib/event-stream.js";

const TEXT = 'event: progress\r\ndata: {"seconds": 1}\r\n\r\n: ping\r\n\r\n'
  + 'event: result\r\ndata: {"tags": ["a"]}\r\n\r\n';

test("each event is read once, however the text arrives", () => {
  for (const step of [1, 2, 3, 7, 1000]) {
    const stream = new EventStream();
    const events = [];
    for (let end = step; end < TEXT.length + step; end += step) events.push(...stream.read(TEXT.slice(0, end)));
    assert.deepEqual(events.filter(({ event }) => event), [
      { event: "progress", data: { seconds: 1 } }, { event: "result", data: { tags: ["a"] } }]);
    assert.deepEqual(stream.read(TEXT), []);
  }
});

test("text that is no JSON is an empty object", () => {
  assert.deepEqual(parseJson("<html>"), {});
  assert.deepEqual(parseJson('{"a": 1}'), { a: 1 });
});

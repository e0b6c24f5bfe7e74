import assert from "node:assert/strict";
import { test } from "node:test";

import {
  addTerms, canBeChosen, choiceOf, conditionsOf, forSimilar, forWords, fromAddress, hasValidDurations, parseTerms, partOf, toAddress,
  toCall, withTag, withoutFilters,
} from "../../../../service/ui/lib/query.js";

const FULL = "?q=heavy+rain&min_duration=2&max_duration=10&sort=newest&tag=storm&no_tag=wind"
  + "&licence=CC0-1.0&source=arcade&distinct=true";

/** The parameters of the call for an address. @param {string} address */
const parametersOf = (address) => toCall(fromAddress(address)).parameters.toString();

test("an address holds the whole query", () => {
  assert.equal(toAddress(fromAddress(FULL)), FULL);
  assert.equal(toAddress(fromAddress("?like=a%2Fb&tag=x&tag=y")), "?like=a%2Fb&tag=x&tag=y");
});

test("the empty query is the page itself", () => {
  assert.equal(toAddress(fromAddress("")), "./");
  assert.equal(toCall(fromAddress("")).kind, "");
});

test("unknown orders and empty values are dropped", () => {
  assert.equal(toAddress(fromAddress("?q=+rain+&sort=colour&tag=&distinct=no")), "?q=rain");
});

test("words with a sign in an address become tags", () => {
  const query = fromAddress("?q=storm+%2BThunder+-rain");
  assert.deepEqual([query.words, query.tags, query.excluded], ["storm", ["thunder"], ["rain"]]);
});

test("tags are the same however they are written", () => {
  const query = fromAddress("?q=storm+%2BCAFE%CC%81&tag=caf%C3%A9&no_tag=Rain");
  assert.deepEqual([query.tags, query.excluded], [["caf\u00e9"], ["Rain"]]);
  assert.deepEqual(addTerms(query, { words: "", tags: ["rain"], excluded: ["Cafe\u0301"] }),
    { ...query, words: "", tags: ["rain"], excluded: ["Cafe\u0301"] });
  assert.deepEqual(withTag(query, "rain", "").excluded, []);
  assert.equal(withTag({ ...query, words: "Cafe\u0301" }, "Caf\u00e9", "-").words, "");
});

test("a search sends required tags as words and filters, excluded ones as words", () => {
  const call = toCall(fromAddress("?q=storm&tag=thunder&no_tag=rain&sort=longest"));
  assert.equal(call.kind, "search");
  assert.equal(call.parameters.toString(), "q=-rain+thunder+storm&tag=thunder&sort=longest");
});

test("what is being typed comes last, and is said to be", () => {
  const query = fromAddress("?q=heavy+thund&tag=rain&no_tag=wind");
  assert.equal(toCall(query, true).parameters.toString(), "q=-wind+rain+heavy+thund&typing=true&tag=rain");
  assert.equal(toCall(fromAddress("?like=abc"), true).parameters.toString(), "");
});

test("filters alone list clips", () => {
  const call = toCall(fromAddress("?no_tag=rain&max_duration=2&sort=title&distinct=true"));
  assert.equal(call.kind, "clips");
  assert.equal(call.parameters.toString(), "no_tag=rain&max_duration=2&sort=title"); // no duplicates
});

test("a sign that is still being typed is neither a word nor an error", () => {
  assert.equal(parametersOf("?q=rain+-"), "q=rain");
  assert.equal(toCall(fromAddress("?q=%2B")).kind, "");
});

test("similar clips are asked for by id, with filters", () => {
  const call = toCall(fromAddress("?like=abc&distinct=true&licence=CC0-1.0"));
  assert.deepEqual([call.kind, call.id], ["similar", "abc"]);
  assert.equal(call.parameters.toString(), "licence=CC0-1.0&distinct=true");
});

test("a part of a clip is asked with, and kept in the address", () => {
  const query = forSimilar(fromAddress("?q=x&tag=y"), "abc", { start: 0, end: 3.25 });
  assert.equal(toAddress(query), "?like=abc&start=0&end=3.25&tag=y");
  assert.deepEqual(fromAddress(toAddress(query)), query);
  assert.equal(toCall(query).parameters.toString(), "tag=y&start=0&end=3.25");
  assert.equal(toAddress(withoutFilters(query)), "?like=abc&start=0&end=3.25");
  assert.equal(toAddress(forSimilar(query, "abc")), "?like=abc&tag=y"); // the whole
  assert.equal(toAddress({ ...query, like: "" }), "?tag=y"); // of no clip
  assert.equal(toAddress(forWords(query, "dog")), "?q=dog");
});

test("parts that are none are dropped", () => {
  for (const part of ["start=3&end=3", "start=-1&end=2", "start=1", "end=2", "start=a&end=2",
    "start=0&end=Infinity", "start=1&end=", "start=2&end=1"]) {
    const query = fromAddress(`?like=abc&${part}`);
    assert.equal(partOf(query), null, part);
    assert.equal(toAddress(query), "?like=abc", part);
  }
  assert.equal(toAddress(fromAddress("?q=dog&start=1&end=2")), "?q=dog");
});

test("a text is split into words and signed tags", () => {
  assert.deepEqual(parseTerms("storm +Thunder  -rain gust"),
    { words: "storm gust", tags: ["thunder"], excluded: ["rain"] });
  assert.deepEqual(parseTerms("-rain"), { words: "", tags: [], excluded: ["rain"] });
  assert.deepEqual(parseTerms("well-known 5 - 3 --x"),
    { words: "well-known 5 - 3 --x", tags: [], excluded: [] });
  assert.deepEqual(parseTerms("größe +Äste"), { words: "größe ", tags: ["äste"], excluded: [] });
});

test("the word at the caret stays as it is typed", () => {
  assert.deepEqual(parseTerms("storm -ra", 9), { words: "storm -ra", tags: [], excluded: [] });
  assert.deepEqual(parseTerms("storm -ra", 3), { words: "storm ", tags: [], excluded: ["ra"] });
});

test("a tag has the sign that it was given last", () => {
  const query = addTerms(fromAddress("?tag=rain&no_tag=wind"), parseTerms("x -rain +wind"));
  assert.deepEqual([query.words, query.tags, query.excluded], ["x", ["wind"], ["rain"]]);
  assert.equal(toAddress(withTag(query, "rain", "+")), "?q=x&tag=wind&tag=rain");
  assert.equal(toAddress(withTag(query, "rain", "")), "?q=x&tag=wind");
});

test("a required tag is not also a word", () => {
  assert.equal(toAddress(withTag(fromAddress("?q=Rain"), "rain", "-")), "?no_tag=rain");
  assert.equal(toAddress(withTag(fromAddress("?q=rain"), "rain", "")), "?q=rain");
});

test("other searches keep the filters that fit them", () => {
  const query = fromAddress(FULL);
  const filters = "min_duration=2&max_duration=10";
  const lists = "licence=CC0-1.0&source=arcade&distinct=true";
  assert.equal(toAddress(forWords(query, "dog")), `?q=dog&${filters}&sort=newest&${lists}`);
  assert.equal(toAddress(forSimilar(query, "id")),
    `?like=id&${filters}&tag=storm&no_tag=wind&${lists}`);
  assert.equal(toAddress(withoutFilters(query)), "?q=heavy+rain");
});

test("durations are valid unless the shortest exceeds the longest", () => {
  for (const address of ["", "?min_duration=3", "?max_duration=3", "?min_duration=3&max_duration=3"]) {
    assert.ok(hasValidDurations(fromAddress(address)), address);
  }
  assert.ok(!hasValidDurations(fromAddress("?min_duration=10&max_duration=9")));
});

test("one collection alone is listed in its own order", () => {
  const call = toCall(fromAddress("?collection=storms"));
  assert.deepEqual([call.kind, call.id, String(call.parameters)], ["collection", "storms", ""]);
  const narrowed = toCall(fromAddress("?collection=storms&tag=rain"));
  assert.deepEqual([narrowed.kind, narrowed.id], ["search", ""]);
  assert.equal(narrowed.parameters.get("collection"), "storms");
  assert.equal(toCall(fromAddress("?collection=a&collection=b")).kind, "clips");
});

test("a taught sound ranks what passes the filters", () => {
  const call = toCall(fromAddress("?taught=my-owl&max_duration=10"));
  assert.deepEqual([call.kind, call.id, String(call.parameters)], ["taught", "my-owl", "max_duration=10"]);
});

test("what a query finds is a body with numbers where the service takes numbers", () => {
  const query = fromAddress("?q=storm+-wind&tag=rain&max_duration=10&sample_rate=48000&collection=c&sort=newest&distinct=true");
  assert.deepEqual(choiceOf(query), {
    q: "-wind rain storm", tag: ["rain"], max_duration: 10, sample_rate: [48000], collection: ["c"],
  });
  assert.deepEqual(choiceOf(fromAddress("?collection=c")), { collection: ["c"] });
});

test("what is found by words and conditions can be chosen as a whole, what is only ranked cannot", () => {
  const answers = ["?q=rain", "?tag=rain", "?collection=storms", "?like=a&tag=rain", "?taught=bark", "?taught=bark&asked=true"]
    .map((address) => canBeChosen(fromAddress(address)));
  assert.deepEqual(answers, [true, true, true, false, false, false]);
});

test("conditions are those of all that is found, without its order", () => {
  const conditions = (/** @type {string} */ address) => conditionsOf(fromAddress(address)).toString();
  assert.equal(conditions("?collection=storms"), "collection=storms");
  assert.equal(conditions("?q=rain&sort=newest&distinct=true"), "q=rain");
  assert.equal(conditions("?like=a&start=1&end=2&licence=CC0-1.0"), "licence=CC0-1.0");
});

/**
 * What is asked for, as one object, and its three forms: the address of the page, the call of the
 * service, and the text that is typed. `tags` must be there, `without` must not; `like` is the id of
 * a sound to find others like it; `least` and `most` are seconds, as they were typed.
 */

const NOTHING = {
  words: "", tags: [], without: [], like: "", least: "", most: "",
  licences: [], sources: [], sort: "", distinct: false,
};
const LISTS = [["tags", "tag"], ["without", "no_tag"], ["licences", "licence"], ["sources", "source"]];
const SINGLE = [["words", "q"], ["like", "like"], ["least", "min_duration"], ["most", "max_duration"],
  ["sort", "sort"]];
export const SORTS = {
  "": "Best first", newest: "Newest first", oldest: "Oldest first", shortest: "Shortest first",
  longest: "Longest first", title: "By title",
};

/** The query of an address; words with a sign become tags. */
export function fromAddress(search) {
  const given = new URLSearchParams(search);
  const query = { ...NOTHING, distinct: given.get("distinct") === "true" };
  for (const [name, parameter] of SINGLE) query[name] = (given.get(parameter) ?? "").trim();
  for (const [name, parameter] of LISTS) query[name] = given.getAll(parameter).filter(Boolean);
  if (!(query.sort in SORTS)) query.sort = "";
  return signed(query, taken(query.words));
}

export function toAddress(query) {
  const given = new URLSearchParams();
  for (const [name, parameter] of SINGLE) if (query[name]) given.set(parameter, query[name]);
  for (const [name, parameter] of LISTS) for (const each of query[name]) given.append(parameter, each);
  if (query.distinct) given.set("distinct", "true");
  return given.size ? `?${given}` : location.pathname;
}

/** How the service is to be asked: the kind of call, and its parameters; no kind: not at all. */
export function asCall(query) {
  const { wanted, unwanted } = asWords(query);
  const kind = query.like ? "similar" : wanted.length ? "search" : "clips";
  const given = new URLSearchParams();
  // The service knows `-wind`, but no `+rain`: that is a word, and a filter.
  if (kind === "search") given.set("q", [...wanted, ...unwanted.map((word) => `-${word}`)].join(" "));
  const filters = { ...query, without: kind === "search" ? [] : unwanted };
  for (const [name, parameter] of LISTS) for (const each of filters[name]) given.append(parameter, each);
  if (query.least) given.set("min_duration", query.least);
  if (query.most) given.set("max_duration", query.most);
  if (query.sort && kind === "search") given.set("sort", query.sort);
  const any = given.size > 0 || query.like;
  if (query.distinct && kind !== "clips") given.set("distinct", "true");
  return { kind: any ? kind : "", id: query.like, given };
}

/** What is asked for and what is not, word by word, also where a sign is still being typed. */
function asWords({ words, tags, without }) {
  const typed = words.split(/\s+/);
  const wanted = typed.filter((word) => !word.startsWith("-")).map((word) => word.replace(/^\+/, ""));
  const unwanted = typed.filter((word) => word.startsWith("-")).map((word) => word.slice(1));
  return {
    wanted: [...wanted, ...tags].filter(Boolean), unwanted: [...unwanted, ...without].filter(Boolean),
  };
}

/**
 * A text taken apart: words with a sign, and the rest. A word in which the caret stands is still
 * being typed, and stays in the rest.
 */
export function taken(text, caret = -1) {
  const tags = [];
  const without = [];
  const words = text.replace(/(^|\s)([+-])([\p{L}\p{N}]\S*)(?=\s|$)/gu, (whole, space, sign, word, place) => {
    const within = caret > place && caret <= place + whole.length;
    if (within) return whole;
    (sign === "+" ? tags : without).push(word.toLowerCase());
    return space;
  });
  const some = tags.length + without.length > 0;
  return { words: some ? words.replace(/\s+/g, " ").trimStart() : text, tags, without };
}

/** The query with the parts of a text; a tag has one sign, the last that it was given. */
export function signed(query, { words, tags, without }) {
  const but = (list, others) => [...new Set(list)].filter((tag) => !others.includes(tag));
  return {
    ...query,
    words: words.trim(),
    tags: but([...query.tags, ...tags], without),
    without: but([...query.without, ...without], tags),
  };
}

/** The query with a tag that must be there (`+`), must not (`-`), or may (``). */
export function withTag(query, tag, sign) {
  const others = (list) => list.filter((each) => each !== tag);
  const words = sign && query.words.toLowerCase() === tag ? "" : query.words; // said once
  return {
    ...query, words, tags: [...others(query.tags), ...(sign === "+" ? [tag] : [])],
    without: [...others(query.without), ...(sign === "-" ? [tag] : [])],
  };
}

/** A search for these words alone; filters that are no tags stay. */
export const forWords = (query, words) => ({ ...query, words, tags: [], without: [], like: "" });

export const likeSound = (query, id) => ({ ...query, words: "", like: id, sort: "" });

/** The words or the sound alone. */
export const cleared = ({ words, like }) => ({ ...NOTHING, words, like });

/** Whether the durations are a range. */
export const isRange = ({ least, most }) => !least || !most || Number(least) <= Number(most);

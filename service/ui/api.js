/** The service's calls: answers as objects, everything that goes wrong as a Trouble. */

const SAID = {
  "not-a-sound": "This file could not be heard as a sound.",
  "too-large": "This file is too large.",
  "sound-gone": "The file of this sound is no longer there.",
  busy: "Busy just now.",
};

/** What went wrong: a sentence for people, any detail, and whether it may pass by itself. */
export class Trouble extends Error {
  constructor(message, detail, passing = false) {
    super(message);
    Object.assign(this, { detail, passing });
  }
}

export const search = (words, k, signal) =>
  ask(`/v1/search?${new URLSearchParams({ q: words, k })}`, { signal });

export const suggest = (file, signal) => upload("/v1/tags", file, {}, signal);

export const classify = (file, labels, signal) => upload("/v1/classify", file, { labels }, signal);

export const waveform = (address, points) => ask(`${address}?points=${points}`);

export const model = () => ask("/v1/model");

function upload(address, file, fields, signal) {
  const body = new FormData();
  for (const [name, value] of Object.entries(fields)) body.append(name, value);
  body.append("file", file);
  return ask(address, { method: "POST", body, signal });
}

async function ask(address, options) {
  let answer;
  try {
    answer = await fetch(address, options);
    if (answer.ok) return await answer.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Trouble("The service cannot be reached.",
      "Is it still running, and are you connected? Nothing you entered is lost.", true);
  }
  throw trouble(answer, await answer.json().catch(() => ({})));
}

function trouble(answer, { type = "", detail = "" }) {
  const said = SAID[type.split("/").pop()];
  if (answer.status === 429) {
    const wait = Number(answer.headers.get("Retry-After")) || 1;
    return new Trouble(SAID.busy, `Please try again in ${wait} s.`, true);
  }
  const reason = detail.replace(/^(file|q|labels): /, "");
  if (said) return new Trouble(said, reason);
  if (answer.status >= 500) {
    return new Trouble("The service has a problem.", reason || `Status ${answer.status}.`, true);
  }
  return new Trouble("The service cannot take this.", reason || `Status ${answer.status}.`);
}

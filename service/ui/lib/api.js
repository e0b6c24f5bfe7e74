/** The service's calls: answers as objects, everything that goes wrong as a Trouble. */

const SAID = {
  "not-a-sound": "This file could not be heard as a sound.",
  "too-large": "This file is too large.",
  "unknown-clip": "This sound is not in the library any more.",
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

/** A page of sounds: `kind` is search, clips, or similar (to the clip `id`). */
export function sounds({ kind, id, given }, signal) {
  const path = { search: "search", clips: "clips", similar: `clips/${encodeURIComponent(id)}/similar` };
  return ask(`/v1/${path[kind]}?${given}`, { signal });
}

export const clip = (id, signal) => ask(`/v1/clips/${encodeURIComponent(id)}`, { signal });

export const waveform = (address, points) => ask(`${address}?points=${points}`, { priority: "low" });

export const model = () => ask("/v1/model");

/** What people say of tags: on a sound sent along, or on a clip. `headers` may hold a key. */
export const opine = (body, headers) => ask("/v1/feedback", { method: "POST", body, headers });

export const addClip = (body, headers) => ask("/v1/clips", { method: "POST", body, headers });

export const removeClip = (id, headers) =>
  ask(`/v1/clips/${encodeURIComponent(id)}`, { method: "DELETE", headers });

export const map = (signal) => ask("/v1/map", { signal });

/** What the library holds, in figures; at most so many tags. */
export const library = (tags = 200) => ask(`/v1/library?tags=${tags}`);

async function ask(address, options) {
  let answer;
  try {
    answer = await fetch(address, options);
    if (answer.ok) return answer.status === 204 ? null : await answer.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Trouble("The service cannot be reached.",
      "Is it still running, and are you connected? Nothing you entered is lost.", true);
  }
  throw trouble(answer, await answer.json().catch(() => ({})));
}

function reasonOf(answer, { type = "", detail = "" }) {
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

/** What an answer that refuses says, with its `status`. */
export const trouble = (answer, body) =>
  Object.assign(reasonOf(answer, body), { status: answer.status });

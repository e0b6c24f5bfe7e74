/** Waveforms of clips: read one after the other, once their place is in view, and kept. */

import { getWaveform } from "../lib/api.js";

/** @import { Span } from "../lib/span.js" */
/** @import { Peak } from "../lib/waveform.js" */

const POINTS = 240;
const MAX_READS = 3; // at a time, so that searches need not wait for them
const DELAY_MS = 250; // what is shown for less, while the user types or zooms, reads none
const MAX_CACHED = 500;

/** @type {Map<string, Peak[]>} */
const cache = new Map(); // by address, the least recently used first
/** @type {((value?: any) => void)[]} */
const queue = []; // reads that wait
let reads = 0; // in progress

/**
 * Peaks from the cache or the service; null if they are not `needed` any more.
 *
 * @param {string} waveform address
 * @param {() => boolean} needed
 * @param {Span | null} [span] null: the whole sound
 */
export async function readPeaks(waveform, needed, span = null) {
  const address = `${waveform}?points=${POINTS}${span ? `&start=${span.start}&end=${span.end}` : ""}`;
  let peaks = cache.get(address);
  if (!peaks) {
    await new Promise((resolve) => setTimeout(resolve, DELAY_MS));
    if (reads >= MAX_READS) await new Promise((resolve) => queue.push(resolve));
    reads += 1;
    try {
      peaks = cache.get(address);
      if (!peaks && needed()) ({ peaks } = await getWaveform(address));
    } finally {
      reads -= 1;
      queue.shift()?.();
    }
  }
  if (!peaks) return null;
  cache.delete(address);
  cache.set(address, peaks);
  for (const oldest of cache.keys()) {
    if (cache.size <= MAX_CACHED) break;
    cache.delete(oldest);
  }
  return peaks;
}

const visibility = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    visibility.unobserve(target);
    target.dispatchEvent(new Event("visible"));
  }
}, { rootMargin: "200px" });

/** Call `action` once the element is about to be visible. @param {Element} node @param {() => void} action */
export function whenVisible(node, action) {
  node.addEventListener("visible", action, { once: true });
  visibility.observe(node);
}

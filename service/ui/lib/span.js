/** Stretches of a sound, in seconds: what is in view, what is selected, what is drawn as one. */

/** @typedef {{start: number, end: number}} Span */

const SHORTEST_VIEW = 0.5; // seconds
const STEP = 0.01; // seconds that edges of a selection are rounded to

/** @param {Span} span */
export const lengthOf = ({ start, end }) => end - start;

/** @param {Span} span @param {number} seconds */
export const contains = ({ start, end }, seconds) => start <= seconds && seconds < end;

/** Where a time lies in a stretch: 0 at its start, 1 at its end. @param {Span} span @param {number} seconds */
export const shareOf = (span, seconds) => (seconds - span.start) / (lengthOf(span) || 1);

/** A stretch of this length within a sound. @param {number} start @param {number} length
 * @param {number} duration @returns {Span} */
function within(start, length, duration) {
  const first = Math.max(0, Math.min(start, duration - length));
  return { start: first, end: Math.min(duration, first + length) };
}

/** The view drawn `factor` times as large; `centre` stays where it is, if it is in view.
 * @param {Span} view @param {number} duration @param {number} factor @param {number} centre */
export function zoomed(view, duration, factor, centre) {
  const length = Math.min(duration, Math.max(SHORTEST_VIEW, lengthOf(view) / factor));
  const share = contains(view, centre) ? shareOf(view, centre) : 0.5;
  return within(centre - share * length, length, duration);
}

/** The view moved by a share of its length. @param {Span} view @param {number} duration @param {number} share */
export const panned = (view, duration, share) =>
  within(view.start + share * lengthOf(view), lengthOf(view), duration);

/** The view moved so far that it shows a stretch from its start. @param {Span} view
 * @param {number} duration @param {Span} span */
export function showing(view, duration, span) {
  if (contains(view, span.start) && span.end <= view.end) return view;
  return within(span.start - 0.1 * lengthOf(view), Math.max(lengthOf(view), lengthOf(span)), duration);
}

/** The stretch between two times, rounded, never empty. @param {number} one @param {number} other
 * @param {number} duration @returns {Span} */
export function between(one, other, duration) {
  /** @param {number} seconds */
  const rounded = (seconds) => Math.round(Math.min(Math.max(0, seconds), duration) / STEP) * STEP;
  const [start, end] = [Math.min(one, other), Math.max(one, other)].map(rounded);
  const last = Math.max(STEP, Math.floor(duration / STEP) * STEP);
  const first = Number(Math.min(start, last - STEP).toFixed(2));
  return { start: first, end: Number(Math.min(last, Math.max(end, first + STEP)).toFixed(2)) };
}

/**
 * The stretches that overlap the view, in order of time; those with less than a gap between them
 * are one.
 *
 * @param {(Span & {score: number})[]} spans in order of time
 * @param {Span} view
 * @param {number} gap seconds
 */
export function merged(spans, view, gap) {
  /** @type {(Span & {score: number, count: number})[]} */
  const groups = [];
  for (const { start, end, score } of spans) {
    if (end <= view.start || start >= view.end) continue;
    const last = groups.at(-1);
    if (last && start - last.end < gap) {
      last.end = Math.max(last.end, end);
      last.score = Math.max(last.score, score);
      last.count += 1;
    } else groups.push({ start, end, score, count: 1 });
  }
  return groups;
}

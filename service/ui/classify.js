/** Classify a sound. */

export const title = "Classify a sound";
export const focus = "classify-title";

export function start() {}

export function show() {}

/** Map of sounds. */

export const title = "Map of sounds";
export const focus = "map-title";

export function start() {}

export function show() {}

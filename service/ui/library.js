/** Library. */

export const title = "Library";
export const focus = "library-title";

export function start() {}

export function show() {}

/* Counts the time in which somebody really worked: the page is visible and something moved within the last 30 seconds. */

const IDLE_MS = 30_000;
const SIGNS = ["keydown", "pointermove", "pointerdown", "wheel", "scroll", "touchmove"];

/** @returns {() => number} the milliseconds of work since the page was opened */
export function startClock() {
  let worked = 0;
  let lastSign = performance.now();
  let lastLook = lastSign;

  function look() {
    const now = performance.now();
    const until = Math.min(now, lastSign + IDLE_MS);
    if (until > lastLook) worked += until - lastLook;
    lastLook = now;
  }

  for (const sign of SIGNS) {
    addEventListener(sign, () => {
      if (document.hidden) return;
      look();
      lastSign = lastLook;
    }, { passive: true, capture: true });
  }
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) look();
    // Coming back is a sign of work, and the time away is none.
    lastLook = performance.now();
    lastSign = document.hidden ? lastLook - IDLE_MS : lastLook;
  });
  return () => {
    look();
    return Math.round(worked);
  };
}

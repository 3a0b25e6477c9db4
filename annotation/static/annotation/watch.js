/* Looks at the clock every few seconds: renews the leases of somebody who works, warns somebody whose lease runs out, and
   suggests a break. */

const LOOK_MS = 10_000;
const RENEW_MS = 3 * 60_000;
/** So long without work is a break taken. */
const BREAK_MS = 5 * 60_000;

/**
 * @param {{worked: () => number, minutes: () => number, renew: () => Promise<boolean>, frame: HTMLElement, user: string, back: () => void}} outside
 * minutes: how long a lease is; renew: asks the server for it; back: puts the focus back on the sheet
 */
export function startWatch({ worked, minutes, renew, frame, user, back }) {
  const notice = /** @type {HTMLElement} */ (frame.querySelector("[data-lease]"));
  const rest = /** @type {HTMLElement} */ (frame.querySelector("[data-break]"));
  const store = `desk-worked/${user}`;
  let renewedAt = Date.now();
  let workedThen = 0;
  let workedBefore = 0;

  /** @returns {{ms: number, at: number}} work since the last break, and when the last of it was */
  function sinceBreak() {
    try {
      const kept = JSON.parse(localStorage.getItem(store) || "null");
      if (kept && Date.now() - kept.at < BREAK_MS) return kept;
    } catch {
      // Without storage each page counts for itself.
    }
    return { ms: 0, at: Date.now() };
  }

  /** @param {number} ms */
  function setSinceBreak(ms) {
    try {
      localStorage.setItem(store, JSON.stringify({ ms, at: Date.now() }));
    } catch {
      // See above.
    }
  }

  function lookAtBreak() {
    const done = worked() - workedBefore;
    workedBefore += done;
    const limit = Number(rest.dataset.break) * 60_000;
    if (!limit) return;
    const before = sinceBreak();
    if (!before.ms) rest.hidden = true;
    if (!done) return;
    setSinceBreak(before.ms + done);
    rest.hidden = before.ms + done < limit;
    if (!rest.hidden) for (const text of rest.querySelectorAll("[hidden]")) text.removeAttribute("hidden");
  }

  async function look() {
    lookAtBreak();
    const age = Date.now() - renewedAt;
    if (age > RENEW_MS && worked() > workedThen) {
      workedThen = worked();
      if (await renew()) renewedAt = Date.now();
    }
    const left = minutes() * 60_000 - (Date.now() - renewedAt);
    notice.hidden = left > Math.min(3, minutes() / 2) * 60_000;
    if (!notice.hidden) notice.querySelector("span")?.removeAttribute("hidden");
  }

  rest.querySelector("[data-break-over]")?.addEventListener("click", () => {
    rest.hidden = true;
    setSinceBreak(0);
    back();
  });
  setInterval(look, LOOK_MS);
  return {
    /** A lease was renewed by another request. */
    renewed() {
      renewedAt = Date.now();
      workedThen = worked();
      notice.hidden = true;
    },
    look,
  };
}

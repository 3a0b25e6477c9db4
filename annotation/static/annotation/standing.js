/* One line in the head that says where one's work is: saved, waiting, or kept on this computer. */

import { fill, gettext, ngettext } from "../webapp/words.js";

/** As the server writes times, in every language: 23:04. @param {number} at milliseconds @returns {string} */
export function clockTime(at) {
  const time = new Date(at);
  return [time.getHours(), time.getMinutes()].map((part) => String(part).padStart(2, "0")).join(":");
}

/** @param {number} count @param {import("./outbox.js").State} state @param {number} savedAt @returns {string} */
function sentence(count, state, savedAt) {
  if (!count) return savedAt ? fill(gettext("Saved %(time)s"), { time: clockTime(savedAt) }) : "";
  if (state === "silent") {
    return fill(ngettext("Not connected: %(n)s waiting, kept on this computer", "Not connected: %(n)s waiting, kept on this computer", count), { n: count });
  }
  if (state === "signedOut") return fill(ngettext("Signed out: %(n)s waiting, kept on this computer", "Signed out: %(n)s waiting, kept on this computer", count), { n: count });
  if (state === "other") return fill(ngettext("Somebody else is signed in: %(n)s of yours waiting", "Somebody else is signed in: %(n)s of yours waiting", count), { n: count });
  return fill(ngettext("%(n)s waiting", "%(n)s waiting", count), { n: count });
}

/** @param {HTMLElement} frame */
export function startStanding(frame) {
  const line = /** @type {HTMLElement} */ (frame.querySelector("[data-state]"));
  const signIn = /** @type {HTMLElement} */ (frame.querySelector("[data-sign-in]"));
  let savedAt = Number(line.dataset.savedAt) || 0;
  /** What happened since, such as a skip; it stands there until something is saved. */
  let noted = "";

  return {
    /** @param {number} at */
    saved(at) {
      savedAt = at;
      noted = "";
    },
    /** @param {string} text */
    note: (text) => (noted = text),
    /** @param {number} count of submissions that wait @param {import("./outbox.js").State} state */
    show(count, state) {
      const text = (!count && noted) || sentence(count, state, savedAt);
      line.title = text; // it may be cut off where there is little room
      if (line.textContent !== text) line.textContent = text; // else a screen reader hears it again
      line.classList.toggle("waits", count > 0 && state !== "sending" && state !== "ok");
      signIn.hidden = !(count && (state === "signedOut" || state === "other"));
    },
    /** @param {{done: number, total: number, done_by_me: number}|undefined} progress */
    progress(progress) {
      if (!progress) return;
      const mine = { mine: progress.done_by_me, done: progress.done, total: progress.total };
      for (const [name, text] of Object.entries({ mine: gettext("%(mine)s of %(total)s judged by you"), done: gettext("%(done)s of %(total)s have all their judgements") })) {
        const place = frame.querySelector(`[data-progress="${name}"]`);
        if (place) place.textContent = fill(text, mine);
      }
      const bar = frame.querySelector("progress");
      if (bar) Object.assign(bar, { value: progress.done_by_me, max: progress.total });
    },
  };
}

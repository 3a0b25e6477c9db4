/* Who is signed in, and the token that forms need. A page may be open for days, while sessions end and begin again in other
   tabs: nothing is sent in the name of somebody else, and a new token is fetched after each sign-in. */

import { ask } from "./post.js";

/** @typedef {"ok"|"signedOut"|"other"|"silent"} Standing */

/** @param {HTMLElement} frame a `[data-frame]` with data-user, data-token and data-keep */
export function startSession(frame) {
  return {
    token: () => frame.dataset.token || "",
    /** @param {string|undefined} token */
    renew(token) {
      if (token) frame.dataset.token = token;
    },
    /**
     * Asks the server who is signed in; renews leases by the way.
     * @param {number[]} shown assignments on the page or on their way @param {number[]} held those fetched ahead
     * @returns {Promise<{standing: Standing, kept?: number[], progress?: any}>} kept: those that still are this person's
     */
    async check(shown = [], held = []) {
      const outcome = await ask(`${frame.dataset.keep}?shown=${shown.join()}&held=${held.join()}`);
      if ("signedOut" in outcome) return { standing: "signedOut" };
      if ("refused" in outcome) return { standing: "other" };
      if (!("ok" in outcome)) return { standing: "silent" };
      if (String(outcome.data.user) !== frame.dataset.user) return { standing: "other" };
      frame.dataset.token = outcome.data.token;
      return { standing: "ok", kept: outcome.data.kept, progress: outcome.data.progress };
    },
  };
}

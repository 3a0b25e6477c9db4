/* What this browser keeps until the server has it: submissions on their way, and drafts. Per person and project, one entry of
   localStorage each, so that tabs never overwrite each other's. */

const OLDEST_DRAFT_MS = 30 * 24 * 3600 * 1000;

/**
 * @typedef {import("./sheet.js").Fields} Fields
 * @typedef {object} Entry one submission
 * @property {string} key its idempotency key
 * @property {"judgement"|"skip"} kind
 * @property {number} assignment
 * @property {string} url where it is sent
 * @property {string} own the page of the assignment
 * @property {[string, string][]} fields
 * @property {string} said what it says, in short, for its author
 * @property {number} at when it was made; entries are sent in this order
 * @property {boolean} [tried] whether it was sent at least once, so that it may have arrived
 * @property {string} [refused] why the server did not take it
 * @typedef {{fields: Fields, at: number, base: number}} Draft at: when it was entered; base: the server's copy that it goes back to
 */

/** @param {string} user @param {string} project */
export function openJournal(user, project) {
  const entriesAt = `desk/${user}/${project}/out/`;
  const draftsAt = `desk/${user}/${project}/draft/`;
  let lastAt = 0;

  /** @param {string} prefix @returns {[string, any][]} */
  function read(prefix) {
    /** @type {[string, any][]} */
    const found = [];
    try {
      for (const name of Object.keys(localStorage)) {
        if (!name.startsWith(prefix)) continue;
        try {
          found.push([name, JSON.parse(localStorage.getItem(name) || "null")]);
        } catch {
          // Not ours, or half of something: it stays where it is.
        }
      }
    } catch {
      return [];
    }
    return found.filter(([, value]) => value);
  }

  /** @param {string} name @param {unknown} value @returns {boolean} whether it is kept */
  function write(name, value) {
    try {
      localStorage.setItem(name, JSON.stringify(value));
      return true;
    } catch {
      return false;
    }
  }

  /** @param {string} name */
  function remove(name) {
    try {
      localStorage.removeItem(name);
    } catch {
      // Where nothing can be removed nothing was kept.
    }
  }

  for (const [name, draft] of read(draftsAt)) if (Date.now() - draft.at > OLDEST_DRAFT_MS) remove(name);

  return {
    prefix: entriesAt,
    /** A time for the next entry: later than any other, whatever the clock does. @returns {number} */
    now: () => (lastAt = Math.max(Date.now(), lastAt + 1)),
    /** @returns {Entry[]} in the order in which they were made */
    entries: () => read(entriesAt).map(([, entry]) => /** @type {Entry} */ (entry)).sort((a, b) => a.at - b.at),
    /** @param {Entry} entry @returns {boolean} whether it is kept */
    put: (entry) => write(entriesAt + entry.key, entry),
    /** @param {string} key */
    drop: (key) => remove(entriesAt + key),
    /** @param {number} id an assignment's @returns {Draft|undefined} */
    draft: (id) => read(`${draftsAt}${id}`).find(([name]) => name === `${draftsAt}${id}`)?.[1],
    /** @param {number} id @param {Draft} draft @returns {boolean} */
    putDraft: (id, draft) => write(`${draftsAt}${id}`, draft),
    /** @param {number} id */
    dropDraft: (id) => remove(`${draftsAt}${id}`),
  };
}

/** @typedef {ReturnType<typeof openJournal>} Journal */

/* Submissions that the server did not take: each with the reason, what it said, and a way to open it again. */

import { fill, gettext } from "../webapp/words.js";

/** @param {string} text @param {string} name @param {() => void} act @returns {HTMLButtonElement} */
function button(text, name, act) {
  const made = Object.assign(document.createElement("button"), { type: "button", className: name, textContent: text });
  made.addEventListener("click", act);
  return made;
}

/**
 * @param {HTMLElement} box
 * @param {import("./journal.js").Entry[]} entries
 * @param {{open: (entry: import("./journal.js").Entry) => void, discard: (entry: import("./journal.js").Entry) => void}} does
 */
export function showReturned(box, entries, { open, discard }) {
  box.hidden = !entries.length;
  box.replaceChildren(...entries.map((entry) => {
    const part = Object.assign(document.createElement("article"), { className: "notice error returned" });
    const why = Object.assign(document.createElement("p"), { textContent: fill(gettext("Not saved: %(why)s"), { why: entry.refused || "" }) });
    const said = Object.assign(document.createElement("p"), { textContent: entry.said, dir: "auto" });
    const whole = document.createElement("details");
    const text = entry.fields.filter(([name, value]) => name.includes(".") && value).map(([name, value]) => `${name}: ${value}`);
    whole.append(
      Object.assign(document.createElement("summary"), { textContent: gettext("All that was in it") }),
      Object.assign(document.createElement("pre"), { textContent: text.join("\n"), tabIndex: 0 }),
    );
    const acts = Object.assign(document.createElement("div"), { className: "actions" });
    acts.append(
      button(gettext("Open it again"), "button", () => open(entry)),
      button(gettext("Throw it away"), "button quiet", () => discard(entry)),
    );
    part.append(why, ...(entry.said ? [said] : []), ...(text.length ? [whole] : []), acts);
    return part;
  }));
}

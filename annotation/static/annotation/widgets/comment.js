/* The comment: free words. Typing is typing; Ctrl+Enter, which belongs to the desk, goes on. */

import { fill, gettext, ngettext } from "../../webapp/words.js";

/** Characters as the server counts them, without the spaces around. @param {string} text */
const charactersOf = (text) => [...text.trim().replace(/\r\n?/g, "\n")].length;

/** @type {import("./widget.js").StartWidget} */
export function startComment(desk) {
  const box = /** @type {HTMLElement} */ (desk.section.querySelector("[data-comment]"));
  const area = /** @type {HTMLTextAreaElement} */ (desk.fields("text")[0]);
  const count = /** @type {HTMLElement} */ (box.querySelector("[data-count]"));
  const limits = count.textContent || "";
  const shortest = Number(box.dataset.shortest);
  const longest = Number(box.dataset.longest);

  const written = () => charactersOf(area.value);
  const fits = () => written() >= shortest && written() <= longest;

  function show() {
    const now = written();
    count.textContent = now ? `${fill(ngettext("%(count)s character", "%(count)s characters", now), { count: now })} · ${limits}` : limits;
    count.classList.toggle("asks", now > 0 && !fits());
    desk.read("");
  }

  area.addEventListener("input", () => {
    desk.touched();
    show();
  });

  return {
    empty: () => !written(),
    complete: () => written() > 0 && fits(),
    mayLeaveOut: () => false,
    missing() {
      area.focus();
      if (!written()) return gettext("Write a comment first.");
      if (written() > longest) return fill(gettext("The comment is too long: at most %(longest)s characters."), { longest });
      return fill(gettext("The comment is too short: at least %(shortest)s characters."), { shortest });
    },
    write: () => {},
    press: () => false,
    start: show,
    focus: () => area.focus({ preventScroll: true }),
  };
}

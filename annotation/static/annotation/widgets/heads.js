/* What a ranking puts into the head of every answer while it is asked: its rank, and a button that ranks it or, two at a
   time, prefers it. */

import { fill, gettext } from "../../webapp/words.js";

/** @param {HTMLElement} card @param {string} letter */
export function makeHead(card, letter) {
  const badge = Object.assign(document.createElement("span"), { className: "rank-badge", hidden: true });
  badge.dataset.rankBadge = letter;
  const button = Object.assign(document.createElement("button"), { className: "button compact", type: "button" });
  button.dataset.rankNext = letter;
  card.querySelector("[data-head]")?.append(badge, button);

  return {
    button,
    /**
     * @param {number|null} rank
     * @param {{mine: boolean, asked: boolean}} now mine: whether the ranking is asked now; asked: whether this answer is one of two
     */
    show(rank, { mine, asked }) {
      button.hidden = !mine;
      badge.hidden = rank === null || !mine;
      badge.textContent = rank === null ? "" : `#${rank}`;
      card.classList.toggle("ranked", rank !== null && mine);
      button.classList.toggle("quiet", rank !== null && !asked);
      const [text, label] = asked ? [gettext("Better"), gettext("%(letter)s is better")]
        : rank === null ? [gettext("Rank next"), gettext("Rank %(letter)s next")]
          : [gettext("Take out"), gettext("Take %(letter)s out")];
      button.textContent = `${text} `;
      button.setAttribute("aria-label", fill(label, { letter }));
      if (asked || rank === null) button.append(Object.assign(document.createElement("kbd"), { textContent: letter.toLowerCase() }));
    },
  };
}

/* One answer on the ladder: the sign to the one above, a grip to drag it by, and buttons for those who do not drag. */

import { fill, gettext } from "../../webapp/words.js";

/** @param {string} does @param {string} sign @returns {HTMLButtonElement} */
function makeButton(does, sign) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = `nudge ${does}`;
  button.dataset.does = does;
  button.textContent = sign;
  return button;
}

/** @param {string} letter @param {number} index @param {boolean} ties whether two may be made equal */
export function makeRung(letter, index, ties) {
  const element = document.createElement("li");
  element.className = "rung";
  element.dataset.index = String(index);
  const chip = document.createElement("span");
  chip.className = "chip";
  const grip = document.createElement("span");
  grip.className = "grip";
  grip.textContent = letter;
  const buttons = {
    joint: makeButton("joint", ""),
    better: makeButton("better", "‹"),
    worse: makeButton("worse", "›"),
    out: makeButton("out", "×"),
    take: makeButton("take", "+"),
  };
  buttons.better.setAttribute("aria-label", fill(gettext("Move %(letter)s one place up"), { letter }));
  buttons.worse.setAttribute("aria-label", fill(gettext("Move %(letter)s one place down"), { letter }));
  buttons.out.setAttribute("aria-label", fill(gettext("Take %(letter)s out of the ranking"), { letter }));
  buttons.take.setAttribute("aria-label", fill(gettext("Rank %(letter)s next"), { letter }));
  const sign = document.createElement("span");
  buttons.joint.append(sign);
  chip.append(grip, buttons.better, buttons.worse, buttons.out, buttons.take);
  element.append(buttons.joint, chip);

  return {
    element,
    /** @param {number} at @param {number} count @param {boolean} tied @param {string} before the letter of the one above */
    place(at, count, tied, before) {
      buttons.joint.hidden = at === 0;
      sign.textContent = tied ? gettext("= tie") : ">";
      buttons.joint.disabled = !ties && !tied;
      buttons.joint.classList.toggle("tied", tied);
      buttons.joint.setAttribute("aria-label", fill(tied ? gettext("= tie: %(letter)s is as good as %(before)s; put it below") : ties ? gettext("> %(letter)s is below %(before)s; make them equal") : gettext("> %(letter)s is below %(before)s"), { letter, before }));
      buttons.better.disabled = at === 0;
      buttons.worse.disabled = at === count - 1;
    },
    /** Moving an element loses its focus, and a button may have gone with the move. @param {string} what @param {HTMLElement} pool @param {HTMLElement} save */
    keepFocus(what, pool, save) {
      const wanted = what === "out" ? buttons.take : buttons[/** @type {keyof typeof buttons} */ (what)];
      if (what === "take") {
        const next = pool.querySelector("button.take");
        (next instanceof HTMLElement ? next : save).focus({ preventScroll: true });
      } else if (wanted.disabled || wanted.hidden) (what === "worse" ? buttons.better : buttons.worse).focus({ preventScroll: true });
      else wanted.focus({ preventScroll: true });
    },
  };
}

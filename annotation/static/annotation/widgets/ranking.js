/* The ranking: type it, decide two at a time, drag it, or press buttons. The selects of the form are the truth; everything
   here shows and fills them. */

import { gettext, fill } from "../../webapp/words.js";
import { makeDraggable } from "./dragging.js";
import { makeHead } from "./heads.js";
import { begin, decide, placesIn, question, tiersOf } from "./insertion.js";
import { append, inList, inSigns, inWords, insert, placesOf, ranksOf, remove, toggleTie } from "./order.js";
import { makeRung } from "./rung.js";
import { startVersus } from "./versus.js";

const WAY = "desk-ranking-way";

/** @param {string} given what the project starts with @returns {string} what this person last chose */
function preferredWay(given) {
  try {
    return localStorage.getItem(WAY) || given;
  } catch {
    return given;
  }
}

/** @param {string} way */
function rememberWay(way) {
  try {
    localStorage.setItem(WAY, way);
  } catch {
    // it holds for this item then
  }
}

/** @type {import("./widget.js").StartWidget} */
export function startRanking(desk) {
  const { cards, letters, section: root } = desk;
  /** @param {string} name */
  const part = (name) => /** @type {HTMLElement} */ (root.querySelector(`[data-${name}]`));
  const selects = cards.map((_, place) => /** @type {HTMLSelectElement} */ (desk.fields(`rank-${place}`)[0]));
  const none = /** @type {HTMLInputElement|undefined} */ (desk.fields("none")[0]);
  const box = part("ladder-box");
  const [ladder, pool, bin, clear, toggle] = [part("ladder"), part("pool"), part("bin"), part("clear"), part("way-toggle")];
  const mayTie = box.dataset.ties !== undefined;
  const mayLeave = box.dataset.partial !== undefined;
  /** Whether what is shown is an answer saved earlier: the first letter that is typed then begins a new one. */
  const given = desk.correcting;
  const heads = cards.map((card, index) => makeHead(card, letters[index]));
  const rungs = letters.map((letter, index) => makeRung(letter, index, mayTie));
  const versus = startVersus(box, cards, letters, { decide: (verdict) => take(decide(state(), verdict)), back: () => goBack() });
  let twoAtATime = preferredWay(box.dataset.way || "") === "insertion";
  let tieNext = false;
  /** Whether it is this question's turn: what it puts on the answers is there only then. */
  let mine = true;
  /** @type {import("./order.js").Place[]} */
  let latest = [];
  /** What stood there before one started over, as long as nothing new does. @type {import("./order.js").Place[]} */
  let cleared = [];
  /** Decisions of the way "two at a time": the last is where it stands, those before are what Back goes to.
   * @type {import("./insertion.js").State[]} */
  let states = [];

  const ranks = () => selects.map((select) => (select.value ? Number(select.value) : null));
  const places = () => placesOf(ranks(), latest);
  /** @param {number} index */
  const isRanked = (index) => selects[index].value !== "";
  const unranked = () => letters.flatMap((_, index) => (isRanked(index) ? [] : [index]));

  /** @returns {import("./insertion.js").State} where the decisions stand; what was dragged or typed meanwhile counts */
  function state() {
    if (!states.length) states = [begin(tiersOf(places()), unranked())];
    return states[states.length - 1];
  }

  /** @param {(number|null)[]} next */
  function fillIn(next) {
    next.forEach((rank, index) => (selects[index].value = rank === null ? "" : String(rank)));
    desk.touched();
    show();
  }

  /** @param {import("./order.js").Place[]} next @param {boolean} [tie] whether a sign = stays typed */
  function arrange(next, tie = false) {
    latest = next;
    cleared = [];
    states = [];
    tieNext = tie;
    fillIn(ranksOf(next, letters.length));
    desk.say(inWords(places(), letters));
  }

  /** @param {import("./insertion.js").State} next */
  function take(next) {
    states.push(next);
    latest = placesIn(next.tiers);
    fillIn(ranksOf(latest, letters.length));
    desk.say(versus.said());
  }

  function goBack() {
    if (states.length < 2) return;
    states.pop();
    const before = /** @type {import("./insertion.js").State} */ (states.pop());
    // Before the first decision nothing was ranked: the one that stood there alone was never said.
    if (!states.length && before.tiers.length === 1 && before.waiting.length === letters.length - 1) {
      states = [before];
      latest = [];
      fillIn(letters.map(() => null));
      desk.say(versus.said());
    } else take(before);
  }

  /** @param {boolean} on */
  function changeWay(on) {
    twoAtATime = on;
    rememberWay(on ? "insertion" : "letters");
    states = [];
    tieNext = false;
    show();
    desk.say(on ? versus.said() : gettext("All answers at once."));
  }

  function show() {
    const now = places();
    showOnCards();
    now.forEach((place, at) => {
      ladder.append(rungs[place.index].element);
      rungs[place.index].place(at, now.length, place.tied, at ? letters[now[at - 1].index] : "");
    });
    rungs.forEach((rung, index) => {
      if (!isRanked(index)) pool.append(rung.element);
    });
    ladder.classList.toggle("tie-next", tieNext);
    bin.hidden = !mayLeave && now.length === letters.length;
    clear.hidden = now.length === 0;
    toggle.setAttribute("aria-pressed", String(twoAtATime));
    part("ladder-hint").hidden = now.length > 0 || twoAtATime;
    part("tie-hint").hidden = !mayTie || now.length < 2 || now.some((place) => place.tied);
    const nothing = none?.checked ? ` · ${gettext("none is acceptable")}` : "";
    // On a phone the question stands far below what it is about; the readout is always in sight.
    if (versus.asks() && matchMedia("(max-width: 46rem)").matches) desk.read(versus.said());
    else desk.read(inSigns(now, letters) + (tieNext ? " = …" : "") + nothing);
  }

  /** The ranks and buttons in the heads of the answers, and which answers are there at all. */
  function showOnCards() {
    const shown = ranks();
    const on = twoAtATime && mine;
    versus.show(on ? question(state()) : null, { on, canGoBack: states.length > 1, nothingSaid: !places().length });
    heads.forEach((head, index) => head.show(shown[index], { mine, asked: versus.asks(index) }));
  }

  /** @param {number} index */
  function rankNext(index) {
    if (!isRanked(index)) return arrange(append(places(), index, tieNext));
    desk.say(fill(gettext("%(letter)s is ranked already."), { letter: letters[index] }));
    cards[index].classList.remove("nudged");
    requestAnimationFrame(() => cards[index].classList.add("nudged"));
  }

  /** @param {number} index */
  function type(index) {
    if (!given || desk.changed()) return rankNext(index);
    arrange(append([], index, false));
    desk.say(fill(gettext("Started over. %(order)s"), { order: inWords(places(), letters) }));
  }

  /** @param {number} index @param {string} what */
  function press(index, what) {
    const now = places();
    const at = now.findIndex((place) => place.index === index);
    if (what === "joint") arrange(toggleTie(now, at));
    else if (what === "better") arrange(insert(now, index, at - 1));
    else if (what === "worse") arrange(insert(now, index, at + 1));
    else if (what === "out") arrange(remove(now, index));
    else rankNext(index);
    rungs[index].keepFocus(what, pool, desk.save);
  }

  /** @param {number} index @param {number} rank */
  function setRank(index, rank) {
    if (!mayTie) return arrange(insert(places(), index, Math.min(rank, places().length + 1) - 1));
    states = [];
    tieNext = false;
    fillIn(ranks().map((before, here) => (here === index ? rank : before)));
    desk.say(inWords(places(), letters));
  }

  function wire() {
    ladder.tabIndex = -1;
    rungs.forEach((rung, index) => rung.element.addEventListener("click", (event) => {
      const button = event.target instanceof Element && event.target.closest("button");
      if (!button || button.disabled) return;
      press(index, button.dataset.does || "");
      // After a press with the mouse, Enter should save and not press the same button again.
      if (/** @type {MouseEvent} */ (event).detail) ladder.focus({ preventScroll: true });
    }));
    cards.forEach((card, index) => heads[index].button.addEventListener("click", (event) => {
      if (versus.asks(index)) versus.choose(index);
      else if (isRanked(index)) arrange(remove(places(), index));
      else rankNext(index);
      if (event.detail && !card.hidden) card.focus({ preventScroll: true });
    }));
    for (const element of root.querySelectorAll(".rank-choices, .help")) element.setAttribute("hidden", "");
    box.hidden = false;
    for (const key of root.querySelectorAll("kbd[data-needs-script]")) key.removeAttribute("hidden");
    clear.addEventListener("click", () => {
      startOver();
      (twoAtATime ? part("versus-question") : cards[0]).focus();
    });
    toggle.addEventListener("click", () => changeWay(!twoAtATime));
    none?.addEventListener("change", () => fillIn(ranks()));
    makeDraggable(ladder, pool, (index, at) => arrange(at === null ? remove(places(), index) : insert(places(), index, at)));
  }

  function startOver() {
    const before = places();
    if (!before.length) return;
    arrange([]);
    cleared = before;
    desk.say(gettext("Started over; Backspace brings it back."));
  }

  function takeBack() {
    if (twoAtATime && states.length > 1) return goBack();
    const last = places().at(-1);
    if (!last && cleared.length) return arrange(cleared);
    if (!tieNext && last) return arrange(remove(places(), last.index), last.tied);
    tieNext = false;
    show();
  }

  function typeTie() {
    const some = places().length;
    if (!mayTie) return desk.say(gettext("This ranking takes no ties."));
    if (!some || some === letters.length) return;
    tieNext = !tieNext;
    show();
    desk.say(tieNext ? gettext("The next one ties with the one before.") : gettext("No tie."));
  }

  function toggleNone() {
    if (!none) return;
    none.checked = !none.checked;
    fillIn(ranks());
    desk.say(none.checked ? gettext("None of them is acceptable.") : gettext("Some are acceptable."));
  }

  wire();
  return {
    empty: () => !places().length && !none?.checked,
    complete: () => selects.every((select) => select.value) || Boolean(none?.checked && !places().length),
    mayLeaveOut: () => mayLeave && places().length > 1,
    missing() {
      const left = unranked().map((index) => letters[index]);
      if (places().length > 1 && mayLeave) return fill(left.length > 1
        ? gettext("%(enter)s again to save without %(letters)s; they count as not judged.")
        : gettext("%(enter)s again to save without %(letters)s; it counts as not judged."), { enter: desk.enter, letters: inList(left) });
      if (places().length) return fill(gettext("Still to rank: %(letters)s."), { letters: inList(left) });
      if (twoAtATime) return versus.said();
      return gettext("Rank the answers first: type their letters, best to worst.");
    },
    /** Equal numbers that were set one by one become competition ranks before they are sent. */
    write: () => ranksOf(places(), letters.length).forEach((rank, index) => (selects[index].value = rank === null ? "" : String(rank))),
    /** @param {string} key @param {KeyboardEvent} event @returns {boolean} */
    press(key, event) {
      const small = key.toLowerCase();
      const index = event.shiftKey ? -1 : letters.findIndex((letter) => letter.toLowerCase() === small);
      const focused = event.target instanceof Element ? event.target.closest("[data-answer], [data-index]") : null;
      if (twoAtATime && !event.shiftKey && versus.press(key)) return true;
      if (index >= 0) type(index);
      else if (key === "=") typeTie();
      else if (key === "Backspace") takeBack();
      else if (key === "0") startOver();
      else if (small === "i") changeWay(!twoAtATime);
      else if (small === "n" && none) toggleNone();
      else if (/^[1-9]$/.test(key) && focused instanceof HTMLElement && Number(key) <= letters.length) {
        setRank(Number(focused.dataset.answer ?? focused.dataset.index), Number(key));
      } else return false;
      return true;
    },
    start() {
      states = [];
      cleared = [];
      show();
    },
    turn(is) {
      if (is === mine) return;
      mine = is;
      showOnCards();
    },
    focus: () => (twoAtATime ? part("versus-question") : cards[0]).focus({ preventScroll: true }),
  };
}

/* A ranking while it is being made: places from best to worst, each perhaps tied with the one before. Pure: no page in here.
   What is stored are standard competition ranks (1, 2, 2, 4); null means not ranked. */

import { fill, gettext } from "../../webapp/words.js";

/** @typedef {{index: number, tied: boolean}} Place one answer; tied: as good as the place before it */

/** Tied answers keep the order they had before, so that nothing jumps under somebody's hands.
 * @param {(number|null)[]} ranks @param {Place[]} [before] @returns {Place[]} */
export function placesOf(ranks, before = []) {
  /** @param {number} index */
  const seat = (index) => {
    const at = before.findIndex((place) => place.index === index);
    return at < 0 ? before.length + index : at;
  };
  const ranked = ranks.flatMap((rank, index) => (rank === null ? [] : [{ rank, index }]));
  ranked.sort((a, b) => a.rank - b.rank || seat(a.index) - seat(b.index));
  return ranked.map(({ rank, index }, at) => ({ index, tied: at > 0 && ranked[at - 1].rank === rank }));
}

/** @param {Place[]} places @param {number} count how many answers there are @returns {(number|null)[]} */
export function ranksOf(places, count) {
  /** @type {(number|null)[]} */
  const ranks = Array(count).fill(null);
  let rank = 1;
  places.forEach((place, at) => {
    if (!place.tied) rank = at + 1;
    ranks[place.index] = rank;
  });
  return ranks;
}

/** @param {Place[]} places @param {number} index @param {boolean} tied @returns {Place[]} */
export function append(places, index, tied) {
  return [...remove(places, index), { index, tied: tied && places.length > 0 }];
}

/** Taking out the head of a tie hands its place to the next one of the tie. @param {Place[]} places @param {number} index @returns {Place[]} */
export function remove(places, index) {
  const at = places.findIndex((place) => place.index === index);
  if (at < 0) return places;
  const rest = places.filter((place) => place.index !== index);
  if (rest[at] && !places[at].tied) rest[at] = { ...rest[at], tied: false };
  return rest;
}

/** Between two tied answers it joins their tie; anywhere else it stands alone. @param {Place[]} places @param {number} index @param {number} at @returns {Place[]} */
export function insert(places, index, at) {
  const rest = remove(places, index);
  const tied = at > 0 && at < rest.length && rest[at].tied;
  return [...rest.slice(0, at), { index, tied }, ...rest.slice(at)];
}

/** @param {Place[]} places @param {number} at @returns {Place[]} */
export function toggleTie(places, at) {
  return places.map((place, here) => (here === at && at > 0 ? { ...place, tied: !place.tied } : place));
}

/** @param {Place[]} places @param {string[]} letters @returns {string} "B > D = A" */
export function inSigns(places, letters) {
  return places.map((place, at) => (at ? (place.tied ? " = " : " > ") : "") + letters[place.index]).join("");
}

/** @param {string[]} letters @returns {string} "A, B and C" */
export function inList(letters) {
  if (letters.length < 2) return letters.join("");
  return fill(gettext("%(some)s and %(last)s"), { some: letters.slice(0, -1).join(", "), last: letters[letters.length - 1] });
}

/** @param {Place[]} places @param {string[]} letters @returns {string} for a screen reader */
export function inWords(places, letters) {
  const said = places.map(({ index, tied }, at) => {
    if (!at) return letters[index];
    return fill(tied ? gettext(" equal to %(letter)s") : gettext(", then %(letter)s"), { letter: letters[index] });
  }).join("");
  const left = letters.filter((_, index) => !places.some((place) => place.index === index));
  if (!left.length) return fill(gettext("%(order)s. All ranked."), { order: said });
  return `${said ? `${said}. ` : ""}${fill(gettext("Not ranked: %(letters)s."), { letters: left.join(", ") })}`;
}

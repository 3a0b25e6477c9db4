/* What the desk offers to a question's widget, and what a widget has to offer to the desk. Types alone.
   They stand in a file of their own because a ring of imports cannot get hashed names.

   The form's fields are the truth of every widget: it fills them, and shows what stands in them. So a draft, a correction
   and a page that comes back after a refusal all look the same to it: fields that are filled already. */

/**
 * @typedef {object} Desk what one widget gets
 * @property {HTMLElement} section the question on the page, a `[data-question]`
 * @property {HTMLElement[]} cards the answers, in the order in which they are shown; they have `[data-head]` and `[data-foot]`
 * @property {string[]} letters of the answers
 * @property {(name: string) => HTMLElement[]} fields the form's fields of that name, without the question's name before it
 * @property {boolean} correcting whether what is shown is an answer saved earlier
 * @property {string} enter how to save, as the beginning of a sentence
 * @property {HTMLElement} save
 * @property {(text: string) => void} say for a screen reader
 * @property {(text: string) => void} read shows the answer as it stands
 * @property {() => void} touched there is unsaved work now
 * @property {() => boolean} changed whether there is
 * @property {(blocks: HTMLElement[]) => void} place puts what is asked about each answer, one block an answer, into their `[data-foot]`;
 *   the question itself goes into the dock then. With fewer than two answers everything stays where it is
 */

/**
 * @typedef {object} Widget
 * @property {() => boolean} empty whether nothing is answered
 * @property {() => boolean} complete whether the answer can be saved as it stands
 * @property {() => boolean} mayLeaveOut whether what is there can be saved once that was said
 * @property {() => string} missing what is still to do, as a sentence
 * @property {() => void} write last touches to the fields before they are sent
 * @property {(key: string, event: KeyboardEvent) => boolean} press whether it used the key
 * @property {() => void} start shows what stands in the fields
 * @property {(mine: boolean) => void} [turn] hears whether it is this question's turn; often, so it has to be cheap
 * @property {() => void} [focus] where the focus goes when this question's turn comes; else to its first control
 */

/** @typedef {(desk: Desk) => Widget} StartWidget */

export {};

/* What the desk offers to a question's widget, and what a widget has to offer to the desk. Types alone.
   They stand in a file of their own because a ring of imports cannot get hashed names. */

/**
 * @typedef {object} Desk
 * @property {(text: string) => void} say for a screen reader
 * @property {(text: string) => void} read shows the answer as it stands
 * @property {() => void} touched there is unsaved work now
 * @property {() => boolean} changed whether there is
 * @property {string} enter how to save, as the beginning of a sentence
 * @property {HTMLElement} save
 */

/**
 * @typedef {object} Widget
 * @property {() => boolean} complete
 * @property {() => boolean} mayLeaveOut whether what is there can be saved as it is
 * @property {() => string} missing what is still to do, as a sentence
 * @property {() => void} write last touches to the form before it is sent
 * @property {(key: string, event: KeyboardEvent) => boolean} press whether it used the key
 * @property {() => void} start
 */

export {};

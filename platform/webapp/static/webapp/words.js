/* Sentences in the reader's language. The catalogue is a script of its own (jsi18n); without it everything is English. */

/** @typedef {{gettext?: (text: string) => string, ngettext?: (one: string, many: string, count: number) => string}} Catalogue */

const catalogue = /** @type {Catalogue} */ (/** @type {unknown} */ (globalThis));

/** @param {string} text @returns {string} */
export function gettext(text) {
  return catalogue.gettext ? catalogue.gettext(text) : text;
}

/** @param {string} one @param {string} many @param {number} count @returns {string} */
export function ngettext(one, many, count) {
  return catalogue.ngettext ? catalogue.ngettext(one, many, count) : count === 1 ? one : many;
}

/** Puts values in the place of `%(name)s`. @param {string} text @param {Record<string, string|number>} values @returns {string} */
export function fill(text, values) {
  return text.replace(/%\((\w+)\)s/g, (_, name) => String(values[name] ?? ""));
}

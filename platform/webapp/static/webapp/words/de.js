/* Made by `make translations` from locale/de/LC_MESSAGES/djangojs.po. */
(() => {
  /** @type {Record<string, string | string[]>} */
  const texts = {
    "Not found": "Nicht gefunden"
  };
  /** @param {string} text @returns {string} */
  const gettext = (text) => [texts[text] ?? text].flat()[0];
  /** @param {string} one @param {string} many @param {number} n @returns {string} */
  const ngettext = (one, many, n) => {
    const form = Number((n != 1));
    return [texts[one] ?? [one, many]].flat()[form] ?? many;
  };
  Object.assign(globalThis, { gettext, ngettext });
})();

// What a visitor typed, as it has to stand in the lines of each language.
"use strict";

globalThis.gatebookGuide ??= {};

(() => {
  const json = (text) => JSON.stringify(text).slice(1, -1);
  const LITERALS = {
    curl: (text) => json(text).replace(/[\\$`]/g, "\\$&"), // JSON, in a here-document
    python: json, // between double quotes: Python reads all of JSON's escapes
    javascript: (text) => text.replace(/[\\']/g, "\\$&"), // between single quotes
  };

  gatebookGuide.literal = (language, text) => LITERALS[language](text);
})();

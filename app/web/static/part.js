// Parts of a page that htmx asks for: where the focus is when one has come, and what to do when none
// comes.
"use strict";

(() => {
  const told = document.getElementById("told");

  // Whatever is refused has a place of its own; an error without one isn't this service's.
  function refused(answer) {
    return answer.status >= 400 && answer.getResponseHeader("HX-Retarget") !== null;
  }

  // A reader is told once of what is so again and again.
  function tell(text) {
    if (told.textContent === text) return;
    told.textContent = text;
    if (text) uncover(document.activeElement);
  }

  // What has the focus is never behind what is told.
  function uncover(held) {
    const below = held.getBoundingClientRect().bottom > told.getBoundingClientRect().top;
    if (held !== document.body && below) held.scrollIntoView({ block: "center" });
  }

  function byItself(asked) {
    return !asked.requestConfig.triggeringEvent;
  }

  function next(asked) {
    if (byItself(asked)) return "It is asked again by itself.";
    if (asked.requestConfig.verb === "get") return "Nothing is lost: try again in a moment.";
    return "It was done or it was not: load the page again to see.";
  }

  const WORDS = {
    "htmx:sendError": () => "The service can't be reached.",
    "htmx:timeout": () => "The service doesn't answer.",
    "htmx:responseError": (asked) => `An error came back (${asked.xhr.status}), and not from this service itself.`,
  };
  for (const [name, words] of Object.entries(WORDS)) {
    document.addEventListener(name, (event) => tell(`${words(event.detail)} ${next(event.detail)}`));
  }
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (!byItself(event.detail)) tell("");
  });

  // What had the focus before a swap, and what is the first of what the swap brought.
  let had = null;
  let first = null;

  document.addEventListener("htmx:beforeSwap", (event) => {
    if (refused(event.detail.xhr)) {
      event.detail.shouldSwap = true;
      event.detail.isError = false;
    }
    if (!event.detail.shouldSwap) return;
    tell("");
    const held = document.activeElement;
    if (!held || held === document.body) return;
    first = null;
    had = { id: held.id, heading: held.closest("[aria-labelledby]")?.getAttribute("aria-labelledby") };
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    first ??= event.target;
  });
  document.addEventListener("htmx:afterRequest", () => {
    if (had && document.activeElement === document.body) place(had);
    had = first = null;
  });

  // The same again; else the heading of what it was in; else what is new.
  function place({ id, heading }) {
    if (first?.querySelector("[autofocus]")) return; // htmx is about to
    const fresh = first?.querySelector("h1, h2, h3, a[href], button, summary") ?? first;
    for (const each of [named(id), named(heading), fresh, document.getElementById("content")]) {
      if (each && !each.disabled && focused(each)) return;
    }
  }

  function named(id) {
    return id ? document.getElementById(id) : null;
  }

  function focused(element) {
    element.focus();
    if (document.activeElement === element) return true;
    element.tabIndex = -1; // what isn't a control can be gone to, and not come to
    element.focus();
    return document.activeElement === element;
  }
})();

// The visitor's own events, newest first, as GET /me/events tells them.
"use strict";

globalThis.gatebookGuide ??= {};

(() => {
  const { element } = gatebookGuide;
  const SHOWN = 60;
  const DETAILS = ["by", "why", "generation", "count"];

  const list = document.getElementById("events-list");
  const none = document.getElementById("events-none");
  const empty = [...none.childNodes];
  const words = new Map(
    [...document.getElementById("words").content.querySelectorAll("[data-type]")].map((each) => [each.dataset.type, each.textContent]),
  );
  let newest = 0;

  function link(base, type) {
    const [before, after] = type.split(".");
    const made = element("a", "", `${before}.`, document.createElement("wbr"), after);
    // A heading's anchor has no dots.
    made.href = `${base}/docs/reference/events#${type.replaceAll(".", "")}`;
    return made;
  }

  function item(base, event) {
    const told = DETAILS.filter((name) => name in event.data).map((name) => `${name}: ${event.data[name]}`);
    const time = element("time", "", event.time.slice(11, 19));
    time.dateTime = event.time;
    const made = element("li", "new", element("p", "small muted", `${event.position} · `, time));
    made.value = event.position;
    made.append(element("p", "what", link(base, event.type)));
    made.append(element("p", "small", words.get(event.type) ?? ""));
    if (told.length) made.append(element("p", "small muted", told.join(" · ")));
    return made;
  }

  // Puts in what isn't there yet; what was put in, oldest first.
  function show(base, events) {
    const fresh = events.filter((event) => event.position > newest).reverse();
    for (const old of list.querySelectorAll(".new")) if (fresh.length) old.classList.remove("new");
    for (const event of fresh) list.prepend(item(base, event));
    while (list.children.length > SHOWN) list.lastElementChild.remove();
    newest = Math.max(newest, ...fresh.map((event) => event.position));
    none.hidden = list.children.length > 0;
    return fresh;
  }

  function forget(...said) {
    list.replaceChildren();
    newest = 0;
    none.hidden = false;
    none.replaceChildren(...(said.length ? said : empty));
  }

  gatebookGuide.timeline = { show, forget, link, SHOWN };
})();

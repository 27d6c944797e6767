// The log's live tail, and the slider's place. Without it all works by loading the page again, and
// what is there for that is hidden.
"use strict";

(() => {
  function hide() {
    for (const each of document.querySelectorAll("[data-without-scripts]")) each.hidden = true;
  }
  hide();
  document.addEventListener("htmx:afterSwap", hide);

  // The slider follows what is shown, however one came there.
  document.addEventListener("htmx:afterSettle", () => {
    const turn = document.getElementById("turn");
    const slider = document.getElementById("version");
    if (turn && slider && document.activeElement !== slider) slider.value = turn.dataset.version;
  });

  const tail = document.getElementById("tail");
  const log = document.getElementById("log");
  const state = document.getElementById("tail-state");
  const button = document.getElementById("tail-button");
  if (!tail || !log || !state || !button) return;
  tail.hidden = false;

  const MOST = 300; // events that a page holds before it drops the oldest
  const AGAIN_MS = 5000; // after an answer that was no stream
  const WORDS = {
    loading: "waiting for the stream",
    live: "New events appear here as they happen.",
    paused: "Paused. What happens meanwhile is shown when you go on.",
    lost: "The stream broke off; it is asked for again.",
    busy: "Too many pages of yours are open for another stream: close one. It is asked for again.",
    over: "No more: you are logged out, or may not see the log any more. Load the page again.",
  };
  let source = null;
  let place = "";
  let paused = false;
  let again = 0;

  function show(name) {
    tail.dataset.state = name;
    state.textContent = WORDS[name];
    button.textContent = paused ? "Go on" : "Pause";
    button.hidden = name === "over";
  }

  function hear(message) {
    place = message.lastEventId || place;
    const piece = JSON.parse(message.data);
    if (document.getElementById(`event-${piece.position}`)) return;
    const made = new DOMParser().parseFromString(piece.html, "text/html").querySelector("li");
    if (!made) return;
    made.classList.add("new");
    log.prepend(made);
    document.getElementById("nothing")?.remove();
    forget();
  }

  // The page doesn't grow for ever; what it lets go is the first that "Older" shows.
  function forget() {
    const events = log.querySelectorAll(".event");
    const older = document.querySelector("#older a");
    if (events.length <= MOST || !older) return;
    events[events.length - 1].remove();
    const last = events[events.length - 2].dataset.position;
    for (const name of ["href", "hx-get"]) {
      older.setAttribute(name, older.getAttribute(name).replace(/\d+$/, last));
    }
    htmx.process(older);
  }

  async function fail() {
    if (!source || source.readyState !== EventSource.CLOSED) {
      show("lost");
      return;
    }
    close();
    // An EventSource doesn't tell why: a question without a body does.
    const answer = await fetch(address(), { method: "HEAD" }).catch(() => null);
    if (answer && (answer.status === 401 || answer.status === 403)) {
      show("over");
      return;
    }
    show(answer && answer.status === 429 ? "busy" : "lost");
    again = setTimeout(open, AGAIN_MS);
  }

  function address() {
    const found = new URL(tail.dataset.stream, location.href);
    if (place) found.searchParams.set("after", place);
    return found;
  }

  function open() {
    close();
    if (paused || document.hidden) return;
    source = new EventSource(address());
    source.addEventListener("open", () => show("live"));
    source.addEventListener("event", hear);
    source.addEventListener("error", fail);
  }

  function close() {
    clearTimeout(again);
    if (source) source.close();
    source = null;
  }

  button.addEventListener("click", () => {
    paused = !paused;
    show(paused ? "paused" : "loading");
    if (paused) close();
    else open();
  });
  document.addEventListener("visibilitychange", () => {
    if (tail.dataset.state === "over") return;
    if (document.hidden) close();
    else open();
  });
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", (shown) => {
    if (shown.persisted) open();
  });
  open();
})();

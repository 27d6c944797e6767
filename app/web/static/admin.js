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
  const anew = document.getElementById("tail-anew");
  if (!tail || !log || !state || !button || !anew) return;
  tail.hidden = false;

  const MOST = 300; // events that a page holds before it drops the oldest
  const WORDS = {
    loading: "waiting for the stream",
    connected: "New events appear here as they happen.",
    paused: "Paused. What happens meanwhile is shown when you go on.",
    reconnecting: "Nothing is heard of the log just now; the stream is asked for again.",
    busy: "Too many windows are open from here for another stream: close one. It is asked for again.",
    over: "No more: you are logged out, or may not see the log any more.",
    changed: "The log was replaced by another, as after a restore. What is shown here is of the one before.",
  };
  const ENDS = { 401: "over", 403: "over", 409: "changed" };
  let place = "";

  function show(name) {
    if (tail.dataset.state === name) return;
    tail.dataset.state = name;
    state.textContent = WORDS[name];
    const ended = Object.values(ENDS).includes(name);
    button.textContent = name === "paused" ? "Go on" : "Pause";
    button.hidden = ended;
    anew.hidden = !ended;
  }

  function reach(message) {
    place = message.lastEventId || place;
  }

  function hear(message) {
    reach(message);
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

  function address() {
    const found = new URL(tail.dataset.stream, location.href);
    if (place) found.searchParams.set("after", place);
    return found;
  }

  const stream = gatebookStream({ address, heard: { beat: reach, event: hear }, ends: ENDS, show });
  button.addEventListener("click", () => {
    if (tail.dataset.state === "paused") {
      stream.start();
      return;
    }
    stream.stop();
    show("paused");
  });
  stream.start();
})();

// The light at the foot of every page: what the service's stream of heartbeats says, and nothing else.
"use strict";

(() => {
  const light = document.getElementById("live");
  const state = document.getElementById("live-state");
  const head = document.getElementById("live-head");
  if (!light || !state || !head) return;
  light.hidden = false; // without scripts there is no light, rather than one that never loads

  const SILENT_MS = 4000; // four heartbeats that did not come
  const AGAIN_MS = 2000; // after an answer that was no stream
  const WORDS = { loading: "loading", connected: "Connected!", reconnecting: "Reconnecting…" };
  let source = null;
  let silence = 0;
  let again = 0;

  function show(name) {
    if (light.dataset.state === name) return;
    light.dataset.state = name;
    state.textContent = WORDS[name];
    if (name !== "connected") head.textContent = "";
  }

  function silent() {
    show("reconnecting");
    open();
  }

  function hear(message) {
    const beat = JSON.parse(message.data);
    clearTimeout(silence);
    silence = setTimeout(silent, SILENT_MS);
    show("connected");
    head.textContent = `${beat.position} events`;
    window.dispatchEvent(new CustomEvent("gatebook:head", { detail: beat }));
  }

  function fail() {
    show("reconnecting");
    if (source && source.readyState === EventSource.CLOSED) {
      close();
      again = setTimeout(open, AGAIN_MS);
    }
  }

  function open() {
    close();
    source = new EventSource(light.dataset.stream);
    source.addEventListener("head", hear);
    source.addEventListener("error", fail);
    silence = setTimeout(silent, 2 * SILENT_MS);
  }

  function close() {
    clearTimeout(silence);
    clearTimeout(again);
    if (source) source.close();
    source = null;
  }

  // A page that nobody sees holds no stream: a source may have few of them.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) close();
    else open();
  });
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", (shown) => {
    if (shown.persisted) open();
  });
  if (!document.hidden) open();
})();

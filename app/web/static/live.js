// The light at the foot of every page: what the service's stream of heartbeats says, and nothing else.
"use strict";

(() => {
  const light = document.getElementById("live");
  const state = document.getElementById("live-state");
  const head = document.getElementById("live-head");
  if (!light || !state || !head) return;
  light.hidden = false; // without scripts there is no light, rather than one that never loads

  const WORDS = {
    loading: "loading",
    connected: "Connected!",
    reconnecting: "Reconnecting…",
    busy: "Too many windows are open from here for another light: close one.",
  };

  function show(name) {
    if (light.dataset.state === name) return;
    light.dataset.state = name;
    state.textContent = WORDS[name];
    if (name !== "connected") head.textContent = "";
  }

  function hear(message) {
    const beat = JSON.parse(message.data);
    head.textContent = `${beat.position} events`;
    window.dispatchEvent(new CustomEvent("gatebook:head", { detail: beat }));
  }

  gatebookStream({ address: () => light.dataset.stream, heard: { head: hear }, show }).start();
})();

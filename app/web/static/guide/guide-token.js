// The visitor's own access token: what is in it, and how long it is good.
"use strict";

globalThis.gatebookGuide ??= {};

(() => {
  const { element } = gatebookGuide;
  const TICK_MS = 1000;
  const ANNOUNCED = [1800, 600, 300, 60, 10]; // seconds left; more would only disturb
  const MOMENTS = new Set(["iat", "exp", "auth_time"]);

  const find = (id) => document.getElementById(id);
  const own = find("token-own");
  const meter = find("token-meter");
  const left = find("token-left");
  const announced = find("token-announced");

  let ends = 0; // of performance.now(): the visitor's clock may be wrong
  let lasts = 0;
  let ticking = 0;
  let last = Infinity;

  function decoded(part) {
    const bytes = Uint8Array.from(atob(part.replaceAll("-", "+").replaceAll("_", "/")), (each) => each.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
  }

  function spelled(name, value) {
    if (value === "") return "(empty)";
    if (!MOMENTS.has(name)) return String(value);
    return `${value} = ${new Date(value * 1000).toISOString().slice(11, 19)} UTC`;
  }

  function fill(part, members) {
    for (const cell of document.querySelectorAll(`[data-member^="${part}."]`)) {
      const name = cell.dataset.member.slice(part.length + 1);
      cell.textContent = name in members ? spelled(name, members[name]) : "–";
    }
  }

  function inWords(seconds) {
    if (seconds < 60) return `${seconds} ${seconds === 1 ? "second" : "seconds"}`;
    const minutes = Math.round(seconds / 60);
    return minutes === 1 ? "a minute" : `${minutes} minutes`;
  }

  function onClock(seconds) {
    return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  }

  const rest = () => Math.max(0, Math.ceil((ends - performance.now()) / 1000));

  function tick() {
    const seconds = rest();
    meter.value = seconds;
    left.textContent = seconds ? onClock(seconds) : "over";
    own.dataset.state = seconds ? "good" : "over";
    const passed = ANNOUNCED.find((each) => seconds <= each && last > each && lasts > each);
    if (seconds && passed) announced.textContent = `The access token is good for ${inWords(seconds)} more.`;
    if (!seconds && last) announced.textContent = "The access token is over. Refresh it in step 3.";
    last = seconds;
    if (!seconds) clearInterval(ticking);
  }

  function show(token) {
    const parts = token.split(".");
    const claims = decoded(parts[1]);
    fill("header", decoded(parts[0]));
    fill("claims", claims);
    const text = parts.flatMap((part, place) => [place ? "." : "", element("span", `part-${place}`, part)]);
    find("token-text").replaceChildren(...text);
    lasts = claims.exp - claims.iat;
    ends = performance.now() + lasts * 1000;
    last = Infinity;
    meter.max = lasts;
    meter.low = lasts / 4;
    meter.optimum = lasts;
    own.hidden = false;
    find("token-members").open = true;
    announced.textContent = "";
    clearInterval(ticking);
    ticking = setInterval(tick, TICK_MS);
    tick();
  }

  function forget() {
    clearInterval(ticking);
    ends = 0;
    own.hidden = true;
    announced.textContent = "";
    find("token-text").replaceChildren();
    fill("header", {});
    fill("claims", {});
  }

  gatebookGuide.accessToken = { show, forget, rest, goodFor: () => inWords(rest()) };
})();

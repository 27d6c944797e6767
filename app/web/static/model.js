// The picture of the model: lights what a part is tied to, and keeps the numbers those of now.
"use strict";

(() => {
  const picture = document.querySelector("svg.model");
  const tally = document.getElementById("tally");
  if (!picture || !tally) return;

  const parts = new Map();
  for (const part of picture.querySelectorAll(".node")) parts.set(part.dataset.node, part);
  const ties = Array.from(picture.querySelectorAll(".tie"), (curve) => ({
    curve,
    from: curve.dataset.from,
    to: curve.dataset.to,
  }));
  const LOG = "log";

  // All that can come of a part, and all that it can come of: the way there, and not beyond.
  function lit(name) {
    const found = new Set([name]);
    const curves = new Set();
    for (const [near, far] of [["from", "to"], ["to", "from"]]) {
      const reached = new Set([name]);
      for (const each of reached) {
        for (const tie of ties) {
          if (tie[near] !== each) continue;
          curves.add(tie.curve);
          found.add(tie[far]);
          if (tie[far] !== LOG) reached.add(tie[far]);
        }
      }
    }
    return { found, curves };
  }

  function light(name) {
    if (picture.dataset.lit === name) return;
    dark();
    picture.dataset.lit = name;
    const { found, curves } = lit(name);
    for (const curve of curves) curve.classList.add("lit");
    for (const each of found) parts.get(each)?.classList.add("lit");
    picture.querySelector(".frame").classList.toggle("lit", found.has(LOG));
  }

  function dark() {
    delete picture.dataset.lit;
    for (const each of picture.querySelectorAll(".lit")) each.classList.remove("lit");
  }

  function meant(target) {
    return target instanceof Element ? target.closest(".node")?.dataset.node : undefined;
  }

  function chosen() {
    const name = meant(document.activeElement);
    if (name) light(name);
    else dark();
  }

  // At the box around it: an svg that listens for the focus could itself be focused.
  const box = picture.parentElement;
  box.addEventListener("pointerover", (moved) => {
    const name = meant(moved.target);
    if (name) light(name);
    else chosen();
  });
  box.addEventListener("pointerleave", chosen);
  box.addEventListener("focusin", chosen);
  box.addEventListener("focusout", () => setTimeout(chosen));

  const AGAIN_MS = 50; // while a long log is still counted
  let asking = false;
  let counted = Number(tally.dataset.position);

  function spelled(number) {
    return String(number).replace(/\B(?=(\d{3})+$)/g, "\u202f");
  }

  function standing(view) {
    if (view.state === "stalled") return "stands still";
    return view.lag === 0 ? "up to date" : `${spelled(view.lag)} behind`;
  }

  function put(place, said) {
    if (place.textContent === said) return;
    place.textContent = said;
    if (place.dataset.count === undefined) return;
    place.classList.remove("news");
    place.getBoundingClientRect(); // so that the same place can have news twice
    place.classList.add("news");
  }

  function show(numbers) {
    counted = numbers.position;
    for (const place of document.querySelectorAll("[data-count]")) {
      put(place, spelled(numbers.counts[place.dataset.count] ?? 0));
    }
    for (const view of numbers.views) {
      for (const place of document.querySelectorAll(`[data-view="${view.name}"]`)) {
        put(place, standing(view));
      }
    }
    put(tally.querySelector("[data-total]"), spelled(numbers.position));
    put(tally.querySelector("[data-head]"), spelled(numbers.head));
    tally.querySelector("[data-rest]").hidden = numbers.position === numbers.head;
  }

  async function ask() {
    if (asking || document.hidden) return;
    asking = true;
    try {
      const answer = await fetch(tally.dataset.numbers, { credentials: "omit", cache: "no-store" });
      if (!answer.ok) return; // the next sign of life asks again
      const numbers = await answer.json();
      show(numbers);
      const rest = numbers.position < numbers.head || numbers.views.some((view) => view.lag > 0 && view.state !== "stalled");
      if (rest) setTimeout(ask, AGAIN_MS);
    } catch {
      // the service is away, and the light at the foot says so
    } finally {
      asking = false;
    }
  }

  window.addEventListener("gatebook:head", (beat) => {
    if (beat.detail.position !== counted) ask();
  });
})();

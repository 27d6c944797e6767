// The guide's steps: each form calls the service, and hands what it got to the next.
//
// Tokens are in the variables of this script alone: never in a storage, a cookie or an address.
"use strict";

(() => {
  const { ask, draw, element, cut, named, maybeDone, copyButton, accessToken, timeline, literal } = gatebookGuide;
  const OVER = new Set(["revoked", "reused", "user_disabled"]); // reasons for which a session is
  const HEAD_MS = 3000; // at most so often for what others do

  const guide = document.getElementById("guide");
  const { base } = guide.dataset;
  const find = (id) => document.getElementById(id);
  const input = (form, name) => find(`${form}-${name}`);
  const examples = {};
  let held = {};
  // Of what may have been done though no answer said so: what was sent, and whose erasure it was.
  const unsure = { register: null, erase: null };

  // What the page shows of what is held

  function say(step, text) {
    find(`said-${step}`).textContent = text;
  }

  function fillIn(name, value) {
    for (const place of guide.querySelectorAll(`[data-own="${name}"]`)) {
      examples[name] ??= place.textContent;
      place.textContent = value ? literal(place.closest("[data-tab]").dataset.tab, value) : examples[name];
      place.classList.toggle("filled", place.textContent !== examples[name]);
    }
  }

  // Who is here: whoever the tokens are of, or whose key was put into step 2.
  const userKey = () => held.user_key || input("authenticate", "user_key").value;

  function sync() {
    for (const place of guide.querySelectorAll("[data-needs]")) {
      const { needs } = place.dataset;
      const has = Boolean(needs === "user_key" ? userKey() : held[needs]);
      place.hidden = has;
      place.closest("form").querySelector("button").setAttribute("aria-disabled", String(!has));
    }
    for (const place of guide.querySelectorAll("[data-holds]")) place.hidden = !held[place.dataset.holds];
    for (const place of guide.querySelectorAll("[data-cut]")) place.textContent = cut(held[place.dataset.cut] ?? "");
    guide.querySelector("[data-who]").textContent = held.user_id ?? "me";
    fillIn("user_id", input("register", "user_id")?.value || held.user_id);
    fillIn("user_key", input("authenticate", "user_key").value || held.user_key);
  }

  function hold(body) {
    Object.assign(held, body);
    if (body.access_token) accessToken.show(body.access_token);
    sync();
  }

  function letGo(...names) {
    for (const name of names) delete held[name];
    sync();
  }

  // Takes note of a refusal of what is held: of one token, or because the session is over.
  function heed(answer, token) {
    if (answer.status !== 401 || ![held.access_token, held.refresh_token].includes(token)) return;
    if (OVER.has(answer.body?.reason)) {
      letGo("access_token", "refresh_token", "stolen");
      accessToken.forget();
      say("authenticate", "Your session was ended, perhaps elsewhere: its tokens are refused from now on. Begin another one here.");
    } else if (token === held.access_token) {
      letGo("access_token");
      accessToken.forget();
    }
  }

  // What the log has of it

  async function newEvents() {
    if (!held.access_token || !accessToken.rest()) return null;
    const { user_key, access_token } = held;
    const answer = await ask(base, { method: "GET", path: `/me/events?limit=${timeline.SHOWN}`, bearer: access_token });
    heed(answer, access_token);
    return answer.ok && user_key === held.user_key ? timeline.show(base, answer.body.items) : null;
  }

  async function tellOfTheLog(outcome) {
    const fresh = await newEvents();
    const told = element("p", "wrote small");
    if (fresh?.length) {
      told.append(fresh.length === 1 ? "New in the log: " : `New in the log, ${fresh.length} events: `);
      fresh.forEach((event, place) => told.append(place ? ", " : "", timeline.link(base, event.type)));
    } else if (fresh) {
      told.append("Nothing new in the log: all of this it knows already.");
    } else {
      told.append("It is in the log now. To read it, get an access token in step 2.");
    }
    outcome.append(told);
  }

  // A step

  function describe(field, ...parts) {
    const there = parts.map((part) => `${field.id}-${part}`).filter(find);
    if (there.length) field.setAttribute("aria-describedby", there.join(" "));
    else field.removeAttribute("aria-describedby");
  }

  function unmark(form) {
    for (const field of form.querySelectorAll("[aria-invalid]")) {
      field.removeAttribute("aria-invalid");
      find(`${field.id}-error`).hidden = true;
      describe(field, "hint");
    }
  }

  function mark(form, answer) {
    const problem = answer.body ?? {};
    const wrong = (problem.errors ?? []).map(({ pointer, detail }) => [pointer.slice(1), detail]);
    if (problem.code === "user_id_taken") wrong.push(["user_id", "This name is taken. Choose another one."]);
    const fields = [];
    for (const [name, detail] of wrong) {
      const field = form.elements.namedItem(name);
      if (!field) continue;
      const error = find(`${field.id}-error`);
      error.textContent = detail;
      error.hidden = false;
      field.setAttribute("aria-invalid", "true");
      describe(field, "hint", "error");
      fields.push(field);
    }
    fields[0]?.focus();
  }

  const summary = (answer) => `${named(answer)}${answer.status ? `, in ${answer.ms} ms` : ""}.`;

  // What a form does: `work` asks and tells; one at a time, and not before there is what it needs.
  function onSubmit(name, work) {
    const form = find(`try-${name}`);
    form?.addEventListener("submit", async (event) => {
      event.preventDefault();
      const button = form.querySelector("button");
      if (form.dataset.busy) return;
      if (button.getAttribute("aria-disabled") === "true") {
        say(name, form.querySelector("[data-needs]").textContent);
        return;
      }
      form.dataset.busy = "yes";
      unmark(form);
      const outcome = find(`outcome-${name}`);
      outcome.replaceChildren();
      const call = async (request, caption) => {
        const answer = await ask(base, request);
        outcome.append(draw(base, answer, caption));
        return answer;
      };
      try {
        await work({ form, call, outcome, say: (text) => say(name, text) });
      } finally {
        delete form.dataset.busy;
      }
    });
  }

  const post = (path, body, bearer) => ({ path, body, bearer });

  onSubmit("register", async ({ form, call, outcome, say }) => {
    let body = { user_id: form.elements.user_id.value, user_secret: form.elements.user_secret.value };
    const answer = await call(post("/register", body));
    let user_key = answer.body?.user_key;
    if (maybeDone(answer)) unsure.register = body;
    if (!answer.ok && unsure.register?.user_id === body.user_id) {
      body = unsure.register;
      const found = await call(post("/userkey", body), "It may be done already: whoever is registered has a key");
      user_key = found.body?.user_key;
      const isNot = found.status === 401;
      if (!user_key && (maybeDone(answer) || !isNot)) {
        const far = isNot ? "So far you are not registered." : "You are registered, or you are not: nothing says it yet.";
        return say(`${summary(answer)} ${far} Press Register again, with the same name and secret.`);
      }
    }
    if (!user_key) {
      say(`${summary(answer)} You are not registered.`);
      return mark(form, answer);
    }
    unsure.register = null;
    forgetAll();
    form.elements.user_secret.type = "password"; // one that was made up was to be read until now
    input("authenticate", "user_key").value = user_key;
    input("authenticate", "user_secret").value = body.user_secret;
    input("erase", "user_secret").value = body.user_secret;
    hold({ user_key, user_id: body.user_id });
    const late = answer.ok ? "" : "No answer said so, but it was done, with the secret that was sent then. ";
    say(`${late}You are registered. Your key and your secret stand in step 2 now.`);
    await tellOfTheLog(outcome);
  });

  async function begin(call, caption) {
    const body = { user_key: input("authenticate", "user_key").value, user_secret: input("authenticate", "user_secret").value };
    const answer = await call(post("/authenticate", body), caption);
    if (answer.ok) {
      if (held.user_key !== body.user_key) {
        timeline.forget();
        held = {};
      }
      hold({ user_key: body.user_key, ...answer.body });
      say("authenticate", "");
    }
    return answer;
  }

  onSubmit("authenticate", async ({ form, call, outcome, say }) => {
    const answer = await begin(call);
    if (!answer.ok) {
      say(`${summary(answer)} You have no token.`);
      return mark(form, answer);
    }
    letGo("stolen");
    say(`You have an access token, good for ${accessToken.goodFor()}, and a refresh token, which step 3 uses.`);
    await tellOfTheLog(outcome);
  });

  onSubmit("refresh", async ({ call, outcome, say }) => {
    const { refresh_token } = held;
    const answer = await call(post("/refresh", { refresh_token }));
    heed(answer, refresh_token);
    if (!answer.ok) return say(`${summary(answer)} There is no other access token.`);
    hold(answer.body);
    say(`You have another access token, good for ${accessToken.goodFor()}.`);
    await tellOfTheLog(outcome);
  });

  onSubmit("use", async ({ call, outcome, say }) => {
    const { access_token } = held;
    const answer = await call({ method: "GET", path: "/me", bearer: access_token });
    heed(answer, access_token);
    if (!answer.ok) return say(`${summary(answer)} This token is refused.`);
    hold({ user_id: answer.body.user_id });
    say(`You are ${answer.body.user_id}.`);
    await tellOfTheLog(outcome);
  });

  onSubmit("rotate", async ({ call, outcome, say }) => {
    const stolen = held.refresh_token;
    for (const caption of ["Your program rotates it …", "… and some time later once more"]) {
      const { refresh_token } = held;
      const answer = await call(post("/refresh", { refresh_token, rotate: true }), caption);
      heed(answer, refresh_token);
      if (!answer.ok) {
        const then = maybeDone(answer) ? "It may be rotated all the same: try it again at once." : "It isn't rotated.";
        return say(`${summary(answer)} ${then}`);
      }
      hold(answer.body);
    }
    hold({ stolen });
    say("Your refresh token was replaced twice. The first one is what the thief has.");
    await tellOfTheLog(outcome);
  });

  onSubmit("reuse", async ({ call, outcome, say }) => {
    const { stolen, refresh_token } = held;
    const refused = await call(post("/refresh", { refresh_token: stolen }), "The thief shows the old one");
    if (refused.ok || refused.body?.reason !== "reused") {
      const then = maybeDone(refused) ? "Whether the session goes on isn't known: try it again." : "The session goes on.";
      return say(`${summary(refused)} ${then}`);
    }
    await call(post("/refresh", { refresh_token }), "You show the newest one: the session is over for you, too");
    letGo("stolen", "refresh_token", "access_token");
    accessToken.forget();
    const over = "The reuse was detected: the session is over, for the thief and for you.";
    if (!input("authenticate", "user_secret").value) {
      outcome.append(element("p", "small", "Get an access token in step 2 to read what the log says of it."));
      return say(`${over} Get another one in step 2.`);
    }
    const again = await begin(call, "Only you know the secret, so you begin another session");
    say(again.ok ? `${over} You have begun another one, with your secret.` : over);
    if (again.ok) await tellOfTheLog(outcome);
  });

  // What became of an erasure that wasn't answered well.
  function notErased(answer, user_key) {
    const { path } = answer.asked;
    if (path === "/me/erase") unsure.erase = maybeDone(answer) ? user_key : null;
    if (unsure.erase !== user_key) return "Nothing is erased.";
    if (path === "/authenticate" && answer.status === 401) {
      return "You are erased, most likely: an erasure was asked for, its answer is lost, and key and secret are refused now. If the secret is the right one, reload the page, and it has forgotten you.";
    }
    return "You are erased, or you are not. Try it again: if key and secret are refused then, it was done.";
  }

  onSubmit("erase", async ({ form, call, outcome, say }) => {
    const user_secret = form.elements.user_secret.value;
    const user_key = userKey();
    const erase = () => call(post("/me/erase", { user_secret }, held.access_token));
    let answer = held.access_token && accessToken.rest() ? await erase() : null;
    if (!answer || answer.body?.code === "invalid_token") {
      const begun = await call(post("/authenticate", { user_key, user_secret }), "It takes an access token that is good");
      if (!begun.ok) {
        say(`${summary(begun)} ${notErased(begun, user_key)}`);
        return mark(form, begun);
      }
      hold({ user_key, ...begun.body });
      answer = await erase();
    }
    if (!answer.ok) {
      say(`${summary(answer)} ${notErased(answer, user_key)}`);
      return mark(form, answer);
    }
    for (const each of guide.querySelectorAll(".outcome")) if (each !== outcome) each.replaceChildren();
    for (const each of guide.querySelectorAll(".said")) each.textContent = "";
    unsure.erase = null;
    forgetAll();
    timeline.forget("You are erased. The events are still there; nobody can read who it was.");
    emptyForms();
    sync();
    say("You are erased, and this page has forgotten you.");
  });

  function emptyForms() {
    for (const each of guide.querySelectorAll("form")) each.reset();
    for (const each of guide.querySelectorAll('[name="user_secret"]')) each.type = "password";
  }

  function forgetAll() {
    held = {};
    accessToken.forget();
    timeline.forget();
  }

  // What stands around the steps

  function madeUp(length) {
    const letters = "abcdefghjkmnopqrstuvwxyz23456789"; // 32: five bits each
    return Array.from(crypto.getRandomValues(new Uint8Array(length)), (byte) => letters[byte % 32]).join("");
  }

  find("make-up")?.addEventListener("click", () => {
    input("register", "user_id").value = `visitor-${madeUp(8)}`;
    input("register", "user_secret").value = Array.from({ length: 4 }, () => madeUp(5)).join("-");
    input("register", "user_secret").type = "text"; // nobody has seen it yet
    sync();
    say("register", "A name and a secret are made up: they stand in the fields. Press Register.");
  });

  let heard = 0;
  let reading = 0;
  window.addEventListener("gatebook:head", ({ detail }) => {
    if (detail.position === heard) return;
    heard = detail.position;
    reading ||= setTimeout(() => {
      reading = 0;
      newEvents();
    }, HEAD_MS);
  });

  emptyForms(); // a browser puts in again what was typed before a reload
  for (const place of document.querySelectorAll("[data-script]")) place.hidden = false;
  for (const place of document.querySelectorAll("[data-scriptless]")) place.remove();
  for (const place of guide.querySelectorAll('[data-own="url"]')) place.textContent = location.origin + base;
  for (const button of guide.querySelectorAll("form button[disabled]")) button.disabled = false;
  for (const name of ["user_id", "user_key"])
    for (const field of guide.querySelectorAll(`input[name="${name}"]`)) field.addEventListener("input", sync);
  find("token-own").append(copyButton("Copy the token", () => held.access_token ?? ""));
  sync();
})();

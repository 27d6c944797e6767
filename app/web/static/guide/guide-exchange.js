// Calls the JSON API, and shows what was asked and answered: secrets as dots, tokens cut short.
"use strict";

globalThis.gatebookGuide ??= {};

(() => {
  const SHOWN_OF_A_TOKEN = 32; // of a refresh token: its session and its generation
  const HEADERS = ["content-type", "retry-after", "www-authenticate", "x-request-id"];
  const TOKENS = ["access_token", "refresh_token"];

  function element(name, className, ...content) {
    const made = document.createElement(name);
    if (className) made.className = className;
    made.append(...content);
    return made;
  }

  const cut = (token) => `${token.slice(0, SHOWN_OF_A_TOKEN)}…`;

  function veiled(name, value) {
    if (name === "user_secret") return "••••••••";
    return TOKENS.includes(name) && typeof value === "string" ? cut(value) : value;
  }

  // Asks the service as any program would: the page's cookie stays out of it.
  async function ask(base, { method = "POST", path, body, bearer }) {
    const headers = {};
    if (body) headers["content-type"] = "application/json";
    if (bearer) headers.authorization = `Bearer ${bearer}`;
    const asked = { method, path, headers, body };
    const began = performance.now();
    try {
      const answer = await fetch(base + path, {
        method,
        headers,
        body: body && JSON.stringify(body),
        credentials: "omit",
        cache: "no-store",
      });
      const text = await answer.text();
      const type = answer.headers.get("content-type") ?? "";
      return {
        asked,
        status: answer.status,
        reason: answer.statusText,
        ok: answer.ok,
        headers: answer.headers,
        body: text && type.includes("json") ? JSON.parse(text) : null,
        ms: Math.max(1, Math.round(performance.now() - began)),
      };
    } catch {
      return { asked, status: 0, reason: "", ok: false, headers: new Headers(), body: null, ms: 0 };
    }
  }

  const named = (answer) => (answer.status ? `${answer.status} ${answer.reason}`.trim() : "No answer");

  // Whether what was asked may have been done all the same: 503 says no more than no answer.
  function maybeDone({ asked, status }) {
    return asked.method !== "GET" && asked.path !== "/userkey" && [0, 503].includes(status);
  }

  function json(body) {
    return JSON.stringify(body, veiled, 2);
  }

  function requestText({ method, path, headers, body }) {
    const lines = Object.entries(headers).map(([name, value]) =>
      name === "authorization" ? `${name}: Bearer ${cut(value.slice(7))}` : `${name}: ${value}`,
    );
    return [`${method} ${path}`, ...lines, ...(body ? ["", json(body)] : [])].join("\n");
  }

  function answerText(answer) {
    const lines = HEADERS.filter((name) => answer.headers.has(name)).map((name) => `${name}: ${answer.headers.get(name)}`);
    return [named(answer), ...lines, ...(answer.body ? ["", json(answer.body)] : [])].join("\n");
  }

  function part(title, text) {
    return element("div", "", element("p", "label", title), element("pre", "wraps", element("code", "", text)));
  }

  // What was refused, in words, and where it is explained.
  function refusal(base, answer) {
    const box = element("div", "notice bad");
    const problem = answer.body;
    const maybe = maybeDone(answer) ? [element("p", "", "What was asked may have been done all the same.")] : [];
    if (!problem?.code) {
      box.append(element("p", "", element("strong", "", "The service didn't answer.")));
      box.append(element("p", "", "It may be restarting: the light at the foot of the page says so. Try it again."), ...maybe);
      return box;
    }
    const link = element("a", "", `What ${problem.code} means`);
    link.href = `${base}/errors/${encodeURIComponent(problem.code)}`;
    box.append(element("p", "", element("strong", "", problem.title)), element("p", "", problem.detail));
    const wait = answer.headers.get("retry-after");
    if (wait) box.append(element("p", "", `Try again in ${wait} seconds.`));
    box.append(...maybe, element("p", "", link));
    return box;
  }

  function draw(base, answer, caption) {
    const { asked } = answer;
    const state = answer.ok ? "good" : "bad";
    const line = element("p", "line", element("code", "", `${asked.method} ${asked.path.split("?")[0]}`));
    line.append(element("span", `tag ${state}`, named(answer)));
    if (answer.status) line.append(element("span", "small muted", `${answer.ms} ms`));
    const box = element("article", "exchange");
    box.dataset.status = answer.status;
    box.setAttribute("aria-label", `${asked.method} ${asked.path}: ${named(answer)}`);
    if (caption) box.append(element("p", "caption", caption));
    box.append(line);
    if (!answer.ok) box.append(refusal(base, answer));
    box.append(element("div", "both", part("Asked", requestText(asked)), part("Answered", answerText(answer))));
    const tokens = TOKENS.filter((name) => answer.ok && answer.body?.[name]);
    if (tokens.length && !caption)
      box.append(
        element("p", "copies", ...tokens.map((name) => gatebookGuide.copyButton(`Copy the ${name}`, () => answer.body[name]))),
      );
    return box;
  }

  Object.assign(gatebookGuide, { element, ask, draw, cut, named, maybeDone });
})();

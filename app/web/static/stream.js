// A stream that a page holds: asked for again when it breaks off or nothing is heard of it, and let go
// while nobody sees the page, since a source may have few of them.
"use strict";

// `address()` is where it is, `heard` what to do with each kind of event, `ends` the statuses after
// which it is no use to ask again, by the state that they mean. `show` is told each state: loading,
// connected, reconnecting, busy, or one of those ends.
globalThis.gatebookStream = ({ address, heard, ends = {}, show }) => {
  const SILENT_MS = 4000; // four signs of life that did not come
  const AGAIN_MS = 2000; // after an answer that was no stream, and says no other time
  let source = null;
  let silence = 0;
  let again = 0;
  let turn = 0; // of what is asked: an answer to an earlier question means nothing
  let wanted = false;

  function hear(message) {
    expect(SILENT_MS);
    show("connected");
    heard[message.type](message);
  }

  function expect(within) {
    clearTimeout(silence);
    silence = setTimeout(silent, within);
  }

  function silent() {
    show("reconnecting");
    open();
  }

  function fail() {
    if (source && source.readyState === EventSource.CLOSED) ask();
    else show("reconnecting");
  }

  // An EventSource doesn't tell why there is none: a question without a body does.
  async function ask() {
    close();
    const mine = turn;
    const signal = AbortSignal.timeout(2 * SILENT_MS);
    const answer = await fetch(address(), { method: "HEAD", cache: "no-store", signal }).catch(() => null);
    if (mine !== turn) return;
    if (answer && answer.status in ends) {
      stop();
      show(ends[answer.status]);
      return;
    }
    const busy = answer && answer.status === 429;
    if (busy) show("busy");
    else if (!answer || !answer.ok) show("reconnecting");
    again = setTimeout(busy ? ask : open, delay(answer));
  }

  function delay(answer) {
    const seconds = Number(answer && answer.headers.get("retry-after"));
    return seconds > 0 ? 1000 * seconds : AGAIN_MS;
  }

  function open() {
    close();
    if (document.hidden) return;
    source = new EventSource(address());
    for (const type of Object.keys(heard)) source.addEventListener(type, hear);
    source.addEventListener("error", fail);
    expect(2 * SILENT_MS);
  }

  function close() {
    turn += 1;
    clearTimeout(silence);
    clearTimeout(again);
    if (source) source.close();
    source = null;
  }

  // What was so when it was heard last need not be so any more.
  function start() {
    wanted = true;
    show("loading");
    open();
  }

  function stop() {
    wanted = false;
    close();
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) close();
    else if (wanted) start();
  });
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", (shown) => {
    if (shown.persisted && wanted) start();
  });
  return { start, stop };
};

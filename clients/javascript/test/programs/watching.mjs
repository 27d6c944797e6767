/** What a client's calls come to, and whether it has sent a token that was over. */

/**
 * Milliseconds that a token of two seconds is good for when it is sent, at least: a quarter of the
 * margin, which is a fifth of its life.
 */
const LEFT = 2000 / 5 / 4;
/**
 * Milliseconds for which a client that doesn't know the service's clock takes a token of two seconds
 * for good, from when it asked for it: it may have been made at the very end of a second.
 */
const GOOD = 1000 - LEFT;
/** Milliseconds between two turns of the program, where nothing keeps it from them. */
const TURN = 10;

export function watching() {
  const now = performance.now.bind(performance);
  const wall = Date.now.bind(Date);
  const told = {
    calls: 0,
    /** Requests of a busy machine: their token was over on its way, or when it came. */
    late: 0,
    slowest: 0,
    /** @type {Record<string, number>} */
    wrong: {},
    /** When a call was begun and given up because nobody answered: seconds since the epoch. */
    unanswered: /** @type {[number, number][]} */ ([]),
    /** The session and generation of each refresh token that was shown, and when: seconds since the epoch. */
    shown: /** @type {[string, number][]} */ ([]),
  };
  /** When each token was asked for, until it is used; and when those were used that were over by then. */
  const asked = new Map();
  const overAtFirst = new Map();
  let turn = now();
  const turns = setInterval(() => (turn = now()), TURN);
  const tokens = new Set();
  const wrong = (/** @type {string} */ what) => (told.wrong[what] = (told.wrong[what] ?? 0) + 1);

  return {
    told() {
      clearInterval(turns);
      return { ...told, tokens: tokens.size };
    },
    tokens,
    /** Whether any call has come to an answer or an error of the client's. */
    heard: () => told.calls > 0 || Object.keys(told.wrong).length > 0,
    /** @type {typeof fetch} */
    async fetch(input, init) {
      const renewal = String(input).endsWith('/refresh');
      if (renewal) told.shown.push([JSON.parse(String(init?.body)).refresh_token.slice(0, 32), wall() / 1000]);
      const bearer = new Headers(init?.headers).get('authorization')?.slice('Bearer '.length);
      const sent = now();
      // Between the client's decision and this it has had no other turn.
      const decided = Math.min(turn, sent);
      if (sent - (asked.get(bearer) ?? sent) > GOOD) overAtFirst.set(bearer, sent);
      asked.delete(bearer);
      const answer = await fetch(input, init);
      const took = now() - decided;
      if (renewal && answer.ok) asked.set((await answer.clone().json()).access_token, sent);
      if (answer.status === 401) {
        const said = await answer.clone().text();
        const overIn = sent - (overAtFirst.get(bearer) ?? -Infinity) < LEFT;
        if (said.includes('"reason":"expired"') && (took > LEFT || overIn)) told.late++;
        else wrong(`${answer.status} after ${took < LEFT ? 'less' : 'more'} than ${LEFT} ms: ${said.replace(/"request_id":"[^"]*"/, '')}`);
      }
      return answer;
    },
    /**
     * @param {import('gatebook-client').Client} client
     * @param {string} url
     * @param {(error: unknown) => unknown} codeOf
     */
    async call(client, url, codeOf) {
      const [began, started] = [wall(), now()];
      try {
        const answer = await client.fetch(url);
        const said = await answer.text();
        told.calls++;
        tokens.add(await client.token());
        if (answer.status === 503) told.unanswered.push([began / 1000, wall() / 1000]);
        else if (answer.status !== 200 && answer.status !== 401) wrong(`${answer.status} ${said}`);
      } catch (error) {
        const code = codeOf(error);
        // That the service was gone in the midst of the call is not the client's to hide.
        if (code) wrong(`${code}: ${/** @type {Error} */ (error).message}`);
        else told.unanswered.push([began / 1000, wall() / 1000]);
      }
      told.slowest = Math.max(told.slowest, (now() - started) / 1000);
    },
  };
}

/** What a client's calls come to, and whether it has sent a token that was over. */

/**
 * Milliseconds that a token of two seconds is good for when it is sent, at least: a quarter of the
 * margin, which is a fifth of its life.
 */
const LEFT = 2000 / 5 / 4;

export function watching() {
  const now = performance.now.bind(performance);
  const wall = Date.now.bind(Date);
  const told = {
    calls: 0,
    /** Requests that took so long that their token was over on its way. */
    late: 0,
    slowest: 0,
    /** @type {Record<string, number>} */
    wrong: {},
    /** When a call was begun and given up because nobody answered: seconds since the epoch. */
    unanswered: /** @type {[number, number][]} */ ([]),
    /** Session and generation of the refresh tokens that were shown. */
    shown: /** @type {string[]} */ ([]),
  };
  const tokens = new Set();
  const wrong = (/** @type {string} */ what) => (told.wrong[what] = (told.wrong[what] ?? 0) + 1);

  return {
    told: () => ({ ...told, tokens: tokens.size }),
    tokens,
    /** @type {typeof fetch} */
    async fetch(input, init) {
      if (String(input).endsWith('/refresh')) told.shown.push(JSON.parse(String(init?.body)).refresh_token.slice(4, 32));
      const sent = now();
      const answer = await fetch(input, init);
      const took = now() - sent;
      if (answer.status === 401) {
        const said = await answer.clone().text();
        if (said.includes('"reason":"expired"') && took > LEFT) told.late++;
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

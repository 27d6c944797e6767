/** What a tab does for some seconds: it calls, again and again. */

import { createClient } from 'gatebook-client';
import * as stores from 'gatebook-client/browser';

/** Milliseconds between two calls of one task, on average. */
const PAUSE = 500;

/**
 * @param {{ url: string, refresh_token: string, store: 'localStorageStore' | 'indexedDBStore', tasks: number, seconds: number }} given
 */
export async function calling({ url, refresh_token, store, tasks, seconds }) {
  const told = { calls: 0, late: 0, changes: 0, refreshes: 0, wrong: /** @type {string[]} */ ([]) };
  const client = createClient({
    url,
    credentials: { refresh_token },
    store: stores[store](),
    fetch: (input, init) => {
      if (String(input).endsWith('/refresh')) told.refreshes++;
      return fetch(input, init);
    },
  });
  const tokens = new Set();
  client.onChange(() => told.changes++);
  const until = performance.now() + seconds * 1000;
  const task = async () => {
    while (performance.now() < until) {
      try {
        const answer = await client.fetch(`${url}/me`);
        const said = await answer.text();
        told.calls++;
        tokens.add(await client.token());
        // On a machine with too much to do a token of two seconds can be over when it arrives.
        if (said.includes('"reason":"expired"')) told.late++;
        else if (answer.status !== 200 && answer.status !== 503) told.wrong.push(`${answer.status} ${said}`);
      } catch (error) {
        const { code, message } = /** @type {{ code?: string, message: string }} */ (error);
        // That the service was gone in the midst of the call is not the client's to hide.
        if (code) told.wrong.push(`${code} ${message}`);
      }
      await new Promise((done) => setTimeout(done, Math.random() * 2 * PAUSE));
    }
  };
  await Promise.all(Array.from({ length: tasks }, task));
  return { ...told, tokens: tokens.size };
}

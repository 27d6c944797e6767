/** What a tab does for some seconds, or until it has seen some tokens: it calls, again and again. */

import { createClient } from 'gatebook-client';
import * as stores from 'gatebook-client/browser';

import { watching } from './watching.mjs';

/** Milliseconds between two calls of one task, on average. */
const PAUSE = 500;

/**
 * @param {{ url: string, refresh_token: string, store: 'localStorageStore' | 'indexedDBStore', tasks: number, seconds?: number, tokens?: number }} given
 */
export async function calling({ url, refresh_token, store, tasks, seconds, tokens = Infinity }) {
  const watch = watching();
  const client = createClient({ url, credentials: { refresh_token }, store: stores[store](), fetch: watch.fetch });
  let changes = 0;
  client.onChange(() => changes++);
  let going = true;
  if (seconds) setTimeout(() => (going = false), seconds * 1000);
  const task = async () => {
    do {
      await watch.call(client, `${url}/me`, (error) => /** @type {{ code?: string }} */ (error).code);
      await new Promise((done) => setTimeout(done, Math.random() * 2 * PAUSE));
    } while (going && watch.tokens.size < tokens);
  };
  await Promise.all(Array.from({ length: tasks }, task));
  return { ...watch.told(), changes };
}

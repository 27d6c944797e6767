/**
 * A program of many tasks that call with the client, as a process of its own.
 *
 * `node caller.mjs URL FILE TASKS SECONDS [slow | unlocked]` reads a line from stdin, a refresh token
 * or nothing, says that it is ready, begins at the next line or the end, and prints what came of it
 * as JSON. FILE holds the tokens that it shares with others. With `slow` the client's clocks are, so
 * that it renews late; with `unlocked` it waits for none of the others.
 */

import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

import { createClient, GatebookError } from 'gatebook-client';
import { fileStore } from 'gatebook-client/node';

import { watching } from './watching.mjs';

/** Milliseconds between two calls of one task, on average. */
const PAUSE = 1000;

/** Milliseconds that the first answer takes longer: whoever begins at the same time needs it too. */
const FIRST = 200;

const [url, file, tasks, seconds, how] = process.argv.slice(2);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const refresh_token = (await lines.next()).value;
const watch = watching();
if (how === 'slow') {
  for (const clock of [performance, Date]) {
    const now = clock.now.bind(clock);
    const began = now();
    clock.now = () => began + (now() - began) / 3;
  }
}
const { locked, ...store } = fileStore(file);
let late = FIRST;
/** @type {typeof fetch} */
async function slowAtFirst(input, init) {
  const answer = await watch.fetch(input, init);
  const wait = late;
  late = 0;
  await sleep(wait);
  return answer;
}
const client = createClient({
  url,
  credentials: { refresh_token },
  store: how === 'unlocked' ? store : { ...store, locked },
  fetch: slowAtFirst,
});
console.log('ready');
await lines.next();
let going = true;
setTimeout(() => (going = false), Number(seconds) * 1000);

async function task() {
  do {
    await watch.call(client, `${url}/me`, (error) => error instanceof GatebookError && error.code);
    await new Promise((done) => setTimeout(done, Math.random() * 2 * PAUSE));
  } while (going || !watch.heard());
}

await Promise.all(Array.from({ length: Number(tasks) }, task));
console.log(JSON.stringify(watch.told()));

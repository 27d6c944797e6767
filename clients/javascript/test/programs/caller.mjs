/**
 * A program of many tasks that call with the client, as a process of its own.
 *
 * `node caller.mjs URL FILE TASKS SECONDS [slow]` reads a refresh token from stdin, or nothing, and
 * prints what came of it as JSON. FILE holds the tokens that it shares with others. With `slow` the
 * client's clocks are, so that it renews late.
 */

import { text } from 'node:stream/consumers';

import { createClient, GatebookError } from 'gatebook-client';
import { fileStore } from 'gatebook-client/node';

import { watching } from './watching.mjs';

/** Milliseconds between two calls of one task, on average. */
const PAUSE = 1000;

const [url, file, tasks, seconds, slow] = process.argv.slice(2);
const refresh_token = (await text(process.stdin)).trim();
const watch = watching();
if (slow) {
  for (const clock of [performance, Date]) {
    const now = clock.now.bind(clock);
    const began = now();
    clock.now = () => began + (now() - began) / 3;
  }
}
const client = createClient({ url, credentials: { refresh_token }, store: fileStore(file), fetch: watch.fetch });
let going = true;
setTimeout(() => (going = false), Number(seconds) * 1000);

async function task() {
  while (going) {
    await watch.call(client, `${url}/me`, (error) => error instanceof GatebookError && error.code);
    await new Promise((done) => setTimeout(done, Math.random() * 2 * PAUSE));
  }
}

await Promise.all(Array.from({ length: Number(tasks) }, task));
console.log(JSON.stringify(watch.told()));

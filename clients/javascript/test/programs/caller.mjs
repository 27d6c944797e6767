/**
 * A program of many tasks that call with the client, as a process of its own.
 *
 * `node caller.mjs URL FILE TASKS SECONDS` reads a refresh token from stdin, or nothing, and prints
 * what came of it as JSON. FILE holds the tokens that it shares with others.
 */

import { text } from 'node:stream/consumers';

import { createClient, GatebookError } from 'gatebook-client';
import { fileStore } from 'gatebook-client/node';

/** Milliseconds between two calls of one task, on average. */
const PAUSE = 1000;

const [url, file, tasks, seconds] = process.argv.slice(2);
const refresh_token = (await text(process.stdin)).trim();
const client = createClient({ url, credentials: { refresh_token }, store: fileStore(file) });
const told = { calls: 0, late: 0, slowest: 0, wrong: {} };
const tokens = new Set();
const until = performance.now() + Number(seconds) * 1000;

const wrong = (what) => (told.wrong[what] = (told.wrong[what] ?? 0) + 1);

async function task() {
  while (performance.now() < until) {
    const started = performance.now();
    try {
      const answer = await client.fetch(`${url}/me`);
      const said = await answer.text();
      told.calls++;
      tokens.add(await client.token());
      // On a machine with too much to do a token of two seconds can be over when it arrives.
      if (said.includes('"reason":"expired"')) told.late++;
      else if (![200, 503].includes(answer.status)) wrong(`${answer.status} ${said}`);
    } catch (error) {
      // That the service was gone in the midst of the call is not the client's to hide.
      if (error instanceof GatebookError) wrong(`${error.code}: ${error.message}`);
    }
    told.slowest = Math.max(told.slowest, (performance.now() - started) / 1000);
    await new Promise((done) => setTimeout(done, Math.random() * 2 * PAUSE));
  }
}

await Promise.all(Array.from({ length: Number(tasks) }, task));
console.log(JSON.stringify({ ...told, tokens: tokens.size }));

/**
 * Pairs of tabs of a browser that share a session each, for some seconds.
 *
 * `node tabs.mjs URL ORIGIN TASKS SECONDS STORE...` reads a refresh token for each store from stdin,
 * one a line, and prints what came of it in each tab as JSON. ORIGIN is where the page is from.
 */

import { text } from 'node:stream/consumers';

import { launch, site, tabs } from '../pages.mjs';

const [url, origin, tasks, seconds, ...stores] = process.argv.slice(2);
const tokens = (await text(process.stdin)).trim().split('\n');
const pages = await site(
  new URL('../..', import.meta.url).pathname,
  {
    'gatebook-client': '/dist/index.js',
    'gatebook-client/browser': '/dist/browser.js',
    calling: '/test/programs/calling.mjs',
  },
  origin,
);
const browser = await launch();
const pairs = stores.map(async (store, number) => {
  const given = { url, refresh_token: tokens[number], store, tasks: Number(tasks), seconds: Number(seconds) };
  const opened = await tabs(browser, origin, 2);
  return Promise.all(opened.map((tab) => tab.evaluate((given) => window.calling(given), given)));
});
const told = (await Promise.all(pairs)).flat();
await browser.close();
await pages.close();
console.log(JSON.stringify(told));

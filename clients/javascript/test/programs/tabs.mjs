/**
 * Tabs of a browser that share a session, for some seconds.
 *
 * `node tabs.mjs URL ORIGIN TASKS SECONDS` reads a refresh token from stdin, and prints what came
 * of it in each of two tabs as JSON. ORIGIN is where the page is from.
 */

import { text } from 'node:stream/consumers';

import { launch, site, tabs } from '../pages.mjs';

const [url, origin, tasks, seconds] = process.argv.slice(2);
const refresh_token = (await text(process.stdin)).trim();
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
const given = { url, refresh_token, store: 'localStorageStore', tasks: Number(tasks), seconds: Number(seconds) };
const opened = await tabs(browser, origin, 2);
const told = await Promise.all(opened.map((tab) => tab.evaluate((given) => window.calling(given), given)));
await browser.close();
await pages.close();
console.log(JSON.stringify(told));

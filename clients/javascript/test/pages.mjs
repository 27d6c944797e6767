/** Pages in headless Chromium, served from the own machine: without the browser there are none. */

import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';

import { chromium } from 'playwright-core';

export const CHROMIUM = process.env['GATEBOOK_TEST_CHROMIUM'] ?? '/usr/bin/chromium';
export const hasChromium = existsSync(CHROMIUM);
if (!hasChromium) {
  const message = `The client was NOT tried in a page: there is no ${CHROMIUM} here.`;
  if (process.env['CI']) throw new Error(message);
  console.warn(`\n*** ${message} ***\n`);
}

const OPTIONS = {
  executablePath: CHROMIUM,
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
};

export const launch = () => chromium.launch(OPTIONS);

/** One that several programs share: each connects to its address. */
export const launchServer = () => chromium.launchServer(OPTIONS);

/** @param {string} address */
export const connect = (address) => chromium.connect(address);

/**
 * Serves a folder, and at `/` a page that has what these modules of it export in its global scope.
 *
 * @param {string} folder
 * @param {Readonly<Record<string, string>>} imports
 * @param {string} origin
 */
export async function site(folder, imports, origin) {
  const html = `<!doctype html><title>A page</title><link rel="icon" href="data:,">
<script type="importmap">${JSON.stringify({ imports })}</script>
<script type="module">
  const modules = await Promise.all(${JSON.stringify(Object.keys(imports))}.map((each) => import(each)));
  Object.assign(window, ...modules, { loaded: true });
</script>`;
  const server = createServer((request, response) => {
    const path = normalize(new URL(request.url ?? '/', 'http://page').pathname);
    const script = ['.js', '.mjs'].includes(extname(path));
    try {
      const body = script ? readFileSync(join(folder, path)) : html;
      response.writeHead(200, { 'content-type': `text/${script ? 'javascript' : 'html'}; charset=utf-8` }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(Number(new URL(origin).port), '127.0.0.1', () => resolve(0)));
  return { origin, close: () => new Promise((resolve) => server.close(() => resolve(0))) };
}

/**
 * As many tabs of one browser as are asked for, which have loaded the page.
 *
 * @param {import('playwright-core').Browser} browser
 * @param {string} origin
 * @param {number} count
 */
export async function tabs(browser, origin, count) {
  const context = await browser.newContext();
  return Promise.all(
    Array.from({ length: count }, async () => {
      const tab = await context.newPage();
      await tab.goto(origin);
      await tab.waitForFunction('window.loaded');
      return tab;
    }),
  );
}

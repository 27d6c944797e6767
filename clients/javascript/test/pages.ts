/** Pages in headless Chromium, served from the own machine: without the browser there are none. */

import { existsSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { extname, join, normalize } from 'node:path';

import { chromium, type Browser } from 'playwright-core';

export const CHROMIUM: string = process.env['GATEBOOK_TEST_CHROMIUM'] ?? '/usr/bin/chromium';
export const hasChromium: boolean = existsSync(CHROMIUM);
if (!hasChromium) {
  const message = `The client was NOT tried in a page: there is no ${CHROMIUM} here.`;
  if (process.env['CI']) throw new Error(message);
  console.warn(`\n*** ${message} ***\n`);
}

export const launch = (): Promise<Browser> =>
  chromium.launch({
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
  });

const TYPES: Record<string, string> = { '.js': 'text/javascript', '.map': 'application/json' };

export interface Site {
  readonly origin: string;
  close(): Promise<void>;
}

/** What a page has in its global scope. */
export type Global = typeof import('../src/index.js') &
  typeof import('../src/browser.js') &
  typeof import('../src/verify/index.js');

/** Serves a folder, and at `/` a page that has what these modules of it export in its global scope. */
export async function site(folder: string, imports: Readonly<Record<string, string>>, origin: string): Promise<Site> {
  const html = `<!doctype html><title>A page</title><link rel="icon" href="data:,">
<script type="importmap">${JSON.stringify({ imports })}</script>
<script type="module">
  const modules = await Promise.all(${JSON.stringify(Object.keys(imports))}.map((each) => import(each)));
  Object.assign(window, ...modules);
</script>`;
  const server: Server = createServer((request, response) => {
    const path = normalize(new URL(request.url ?? '/', 'http://page').pathname);
    const type = TYPES[extname(path)];
    try {
      const body = type ? readFileSync(join(folder, path)) : html;
      response.writeHead(200, { 'content-type': `${type ?? 'text/html'}; charset=utf-8` }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(Number(new URL(origin).port), '127.0.0.1', resolve));
  return {
    origin,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

/** What a tab does for some seconds: it calls, again and again; run in the page. */
export async function calling(given: {
  url: string;
  refresh_token: string;
  store: 'localStorageStore' | 'indexedDBStore';
  tasks: number;
  seconds: number;
}): Promise<{ calls: number; refreshes: number; tokens: number; changes: number; wrong: string[] }> {
  const page = globalThis as unknown as Global;
  let refreshes = 0;
  const client = page.createClient({
    url: given.url,
    credentials: { refresh_token: given.refresh_token },
    store: page[given.store](),
    fetch: (input, init) => {
      if (`${input as string}`.endsWith('/refresh')) refreshes++;
      return fetch(input, init);
    },
  });
  const told = { calls: 0, changes: 0, wrong: [] as string[] };
  const tokens = new Set<string>();
  client.onChange(() => told.changes++);
  const until = performance.now() + given.seconds * 1000;
  const task = async (): Promise<void> => {
    while (performance.now() < until) {
      try {
        const answer = await client.fetch(`${given.url}/me`);
        const said = await answer.text();
        told.calls++;
        tokens.add(await client.token());
        if (answer.status !== 200 && answer.status !== 503) told.wrong.push(`${answer.status} ${said}`);
      } catch (error) {
        told.wrong.push(`${(error as { code?: string }).code} ${(error as Error).message}`);
      }
      await new Promise((done) => setTimeout(done, Math.random() * 1000));
    }
  };
  await Promise.all(Array.from({ length: given.tasks }, task));
  return { ...told, refreshes, tokens: tokens.size };
}

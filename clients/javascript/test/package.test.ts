/** The package as it is published: packed, installed into an empty project, used from Node and a page. */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';

import { connect, hasChromium, site, tabs } from './pages.mjs';
import { fences } from './readme.js';
import { SECRET, serviceAt } from './service.js';
import { sizeOf } from './size.js';

const PACKAGE = new URL('..', import.meta.url).pathname;
const service = serviceAt(inject('service'));
let project: string;

/** What the page has in its global scope. */
type Global = typeof import('../src/index.js') &
  typeof import('../src/browser.js') &
  typeof import('../src/verify/index.js');

const npm = (folder: string, ...args: string[]): string =>
  execFileSync('npm', args, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

beforeAll(() => {
  project = mkdtempSync(join(tmpdir(), 'gatebook-client-'));
  const [{ filename }] = JSON.parse(npm(PACKAGE, 'pack', '--json', '--ignore-scripts', '--pack-destination', project)) as [
    { filename: string },
  ];
  writeFileSync(join(project, 'package.json'), '{"private":true,"type":"module"}');
  const jose = join(PACKAGE, 'node_modules', 'jose');
  npm(project, 'install', `./${filename}`, jose, '--install-links', '--offline', '--ignore-scripts', '--no-audit', '--no-fund');
});
afterAll(() => rmSync(project, { recursive: true, force: true }));

test('it has what it needs and nothing else', () => {
  const installed = join(project, 'node_modules', 'gatebook-client');
  expect(readdirSync(join(project, 'node_modules')).filter((each) => !each.startsWith('.')).sort()).toEqual([
    'gatebook-client',
    'jose',
  ]);
  expect(readdirSync(installed).sort()).toEqual(['LICENSE', 'README.md', 'dist', 'package.json']);
  const { dependencies = {} } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as {
    dependencies?: Record<string, string>;
  };
  expect(dependencies).toEqual({});
  const packed = readdirSync(project).find((each) => each.endsWith('.tgz'))!;
  expect(gunzipSync(readFileSync(join(project, packed))).toString('latin1')).not.toMatch(/\/(?:tmp|home|root)\//);
  expect(statSync(join(project, packed)).size).toBeLessThan(40_000);
});

/** What each fence is told about. */
const prelude = (user_key: string): string =>
  `const url = '${service.url}', user_key = '${user_key}', user_secret = '${SECRET}';\n`;

test.each(fences().filter(({ place }) => place === 'node'))(
  'a program on Node does what the README says in line $line',
  async ({ line, code }) => {
    const file = `readme${line}.js`;
    writeFileSync(join(project, file), prelude(await service.register()) + code);
    const said = execFileSync('node', [file], { cwd: project, encoding: 'utf8', timeout: 20_000 });
    // What stands behind `//` is what is printed there.
    const promised = [...code.matchAll(/console\.log\([^;]*; \/\/ (\w+)/g)].map(([, word]) => word!);
    for (const word of promised) expect(said).toContain(word);
  },
);

describe.skipIf(!hasChromium)('in a page', () => {
  let browser: Browser;
  let pages: Awaited<ReturnType<typeof site>>;
  let page: Page;
  let user_key: string;
  beforeAll(async () => {
    const installed = '/node_modules/gatebook-client/dist';
    const imports = {
      'gatebook-client': `${installed}/index.js`,
      'gatebook-client/browser': `${installed}/browser.js`,
      'gatebook-client/verify': `${installed}/verify.js`,
      jose: '/node_modules/jose/dist/webapi/index.js',
    };
    [browser, pages, user_key] = await Promise.all([
      connect(inject('browser')),
      site(project, imports, inject('second')),
      service.register(),
    ]);
    [page] = (await tabs(browser, pages.origin, 1)) as [Page];
  });
  afterAll(async () => {
    await browser?.close();
    await pages?.close();
  });

  test('it calls and verifies', async () => {
    const found = await page.evaluate(
      async ([url, user_key, user_secret]) => {
        const { createClient, createVerifier, indexedDBStore } = globalThis as unknown as Global;
        const client = createClient({ url, credentials: { user_key, user_secret }, store: indexedDBStore() });
        const me = await client.api.me();
        const verifier = createVerifier({ issuer: url });
        const caller = await verifier.verify(await client.token());
        verifier.close();
        return [me.user_key, caller.userKey];
      },
      [service.url, user_key, SECRET] as const,
    );
    expect(found).toEqual([user_key, user_key]);
  });

  test.each(fences().filter(({ place }) => place === 'page'))('it does what the README says in line $line', async ({ code }) => {
    const wrong: Error[] = [];
    page.on('pageerror', (error) => wrong.push(error));
    await page.addScriptTag({ type: 'module', content: `${prelude(user_key)}${code}\nwindow.done = true;` });
    await page.waitForFunction('window.done');
    expect(wrong).toEqual([]);
    expect(await page.evaluate('localStorage.getItem("gatebook")')).toContain('gbr_');
  });
});

describe('its size in a page, minified and gzipped', () => {
  const readme = readFileSync(join(PACKAGE, 'README.md'), 'utf8');

  test.each([
    ["export * from 'gatebook-client'", 4000],
    ["export { createClient } from 'gatebook-client'; export { localStorageStore } from 'gatebook-client/browser'", 4400],
    ["export * from 'gatebook-client'; export * from 'gatebook-client/browser'", 4700],
    ["export * from 'gatebook-client'; export * from 'gatebook-client/node'", 5200],
    ["export * from 'gatebook-client/verify'", 4900],
  ])('%s: at most %i bytes, as the README says', async (code, most) => {
    const size = await sizeOf(code);
    expect(size).toBeLessThanOrEqual(most);
    expect(readme).toContain(`${(most / 1000).toFixed(1)} kB`);
  });
});

/** The client in pages: two tabs of one origin that share a session. */

import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';

import { connect, hasChromium, site, tabs as open } from './pages.mjs';
import type { calling } from './programs/calling.mjs';
import { serviceAt } from './service.js';

const PACKAGE = new URL('..', import.meta.url).pathname;
const IMPORTS = {
  'gatebook-client': '/dist/index.js',
  'gatebook-client/browser': '/dist/browser.js',
  calling: '/test/programs/calling.mjs',
};

/** What the page has in its global scope. */
type Global = typeof import('../src/index.js') & typeof import('../src/browser.js') & { calling: typeof calling };


describe.skipIf(!hasChromium)('two tabs', () => {
  let browser: Browser;
  let pages: Awaited<ReturnType<typeof site>>;
  const service = serviceAt(inject('service'));

  beforeAll(async () => {
    pages = await site(PACKAGE, IMPORTS, inject('origin'));
    browser = await connect(inject('browser'));
  });
  afterAll(async () => {
    await browser?.close();
    await pages?.close();
  });

  const stores = ['localStorageStore', 'indexedDBStore'] as const;
  test.concurrent.each(stores)('share rotating tokens in %s', async (store) => {
    const { refresh_token } = await service.authenticate(await service.register());
    const given = { url: service.url, refresh_token, store, tasks: 5, seconds: 3 };
    const tabs = await open(browser, pages.origin, 2);
    const told = await Promise.all(tabs.map((tab) => tab.evaluate((given) => (globalThis as unknown as Global).calling(given), given)));
    expect(told.flatMap((each) => each.wrong).map((each) => each.slice(0, 300))).toEqual([]);
    for (const { calls, changes, tokens } of told) {
      expect(calls).toBeGreaterThan(5);
      expect(changes).toBeGreaterThan(1);
      expect(tokens).toBeGreaterThan(1);
    }
    // Each renewal was one tab's, for both: about as many as there were tokens.
    const refreshes = told[0]!.refreshes + told[1]!.refreshes;
    expect(refreshes).toBeLessThanOrEqual(Math.max(told[0]!.tokens, told[1]!.tokens) + 2);
  });

  test.concurrent('are signed out together, and hear of it', async () => {
    const tabs = await open(browser, pages.origin, 2);
    const { refresh_token } = await service.authenticate(await service.register());
    const heard = await Promise.all(
      tabs.map((tab) =>
        tab.evaluate(
          async ([url, refresh_token]) => {
            const { createClient, localStorageStore } = globalThis as unknown as Global;
            const client = createClient({ url, credentials: { refresh_token }, store: localStorageStore() });
            await client.token();
            const changes: string[] = [];
            Object.assign(window, { client, changes });
            client.onChange(({ state }) => changes.push(state));
            return localStorage.getItem('gatebook');
          },
          [service.url, refresh_token] as const,
        ),
      ),
    );
    expect(heard[0]).toBe(heard[1]);
    await tabs[0]!.evaluate('client.signOut()');
    await tabs[1]!.waitForFunction('changes.includes("signed_out")');
    for (const tab of tabs) {
      expect(await tab.evaluate('changes.at(-1)')).toBe('signed_out');
      expect(await tab.evaluate('localStorage.getItem("gatebook")')).toBeNull();
      expect(await tab.evaluate('client.token().catch(({ code }) => code)')).toBe('reauthentication_required');
    }
  });

  test.concurrent('hear why a token is refused, from another origin', async () => {
    const tabs = await open(browser, pages.origin, 2);
    const { refresh_token } = await service.authenticate(await service.register());
    const found = await tabs[0]!.evaluate(
      async ([url, refresh_token]) => {
        const { createClient, memoryStore } = globalThis as unknown as Global;
        const store = memoryStore();
        const client = createClient({ url, credentials: { refresh_token }, store });
        await client.token();
        const { access_token } = (await store.read())!;
        await client.api.endSessions();
        const answer = await client.fetch(`${url}/me`).catch(({ code }) => code as string);
        return [typeof access_token, answer];
      },
      [service.url, refresh_token] as const,
    );
    expect(found).toEqual(['string', 'reauthentication_required']);
  });

  test.concurrent('one that is frozen with the lock is not waited for for ever', async () => {
    const tabs = await open(browser, pages.origin, 2);
    const took = await tabs[0]!.evaluate(async () => {
      const { localStorageStore } = globalThis as unknown as Global;
      const store = localStorageStore();
      const limits: number[] = [];
      const timeout = AbortSignal.timeout.bind(AbortSignal);
      AbortSignal.timeout = (ms) => {
        limits.push(ms);
        return timeout(ms / 100);
      };
      let later = '';
      const frozen = store
        .locked!(async (mine) => {
          await new Promise((done) => setTimeout(done, 1000));
          try {
            mine();
          } catch (error) {
            later = (error as { code: string }).code;
          }
        })
        .catch(({ code }) => code as string);
      const second = await store.locked!(async () => 'got it');
      const first = await frozen;
      await new Promise((done) => setTimeout(done, 1000));
      return [limits.every((each) => each >= 20_000 && each <= 25_000), first, second, later];
    });
    expect(took).toEqual([true, 'store_unavailable', 'got it', 'store_unavailable']);
  });

  test('nothing of it was a reuse', () => {
    const found = service.events('refresh_token.reuse_detected', 'refresh_token.rotated');
    expect(found['refresh_token.reuse_detected']).toBe(0);
    expect(found['refresh_token.rotated']).toBeGreaterThan(2);
  });
});

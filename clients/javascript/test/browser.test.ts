/** The client in pages: two tabs of one origin that share a session. */

import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';

import { connect, hasChromium, site, tabs as open } from './pages.mjs';
import type { calling } from './programs/calling.mjs';
import { SECRET, serviceAt } from './service.js';

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
    const given = { url: service.url, refresh_token, store, tasks: 5, tokens: 3 };
    const tabs = await open(browser, pages.origin, 2);
    const told = await Promise.all(tabs.map((tab) => tab.evaluate((given) => (globalThis as unknown as Global).calling(given), given)));
    for (const { wrong, unanswered, changes } of told) {
      expect(wrong).toEqual({});
      expect(unanswered).toEqual([]);
      expect(changes).toBeGreaterThan(1);
    }
    // Each renewal was one tab's, for both; news of it may come to the other just too late.
    const shown = told.flatMap((each) => each.shown.map(([token]) => token));
    const once = new Set(shown);
    expect(shown.length - once.size).toBeLessThan(once.size / 2);
  });

  test.concurrent.each([
    ['localStorageStore', 0],
    ['localStorageStore', 1],
    ['indexedDBStore', 0],
    ['indexedDBStore', 1],
  ] as const)('are signed out together while one renews in %s (%i)', async (name, renewing) => {
    const user_key = await service.register();
    const tabs = await open(browser, pages.origin, 2);
    const given = { url: service.url, user_key, user_secret: SECRET, name };
    await Promise.all(
      tabs.map((tab, index) =>
        tab.evaluate(async ({ url, user_key, user_secret, name, first, calls }) => {
          const global = globalThis as unknown as Global;
          const client = global.createClient({
            url,
            credentials: { user_key, user_secret },
            store: global[name](),
            fetch: async (input, init) => {
              const answer = await fetch(input, init);
              if (!`${input as string}`.endsWith('/refresh')) return answer;
              if ('armed' in window) new BroadcastChannel('renewing').postMessage('now');
              await new Promise((done) => setTimeout(done, 100));
              return answer;
            },
          });
          const states: string[] = [];
          const ends = new Set<string>();
          Object.assign(window, { client, states, ends });
          new BroadcastChannel('renewing').onmessage = () => {
            if (first && !('out' in window)) Object.assign(window, { out: client.signOut() });
          };
          // One begins the session; the other finds it, once it sees what was kept.
          const pause = () => new Promise((done) => setTimeout(done, 10));
          if (!first) while (!(await global[name]().read())) await pause();
          await client.token();
          client.onChange(({ state }) => states.push(state));
          if (calls) setInterval(() => void client.token().catch(({ code }) => ends.add(code)), 10);
        }, { ...given, first: index === 0, calls: index === renewing }),
      ),
    );
    // The first one signs out as soon as the one that calls renews.
    await tabs[renewing]!.evaluate('window.armed = true');
    await tabs[0]!.waitForFunction('window.out');
    await tabs[0]!.evaluate('out');
    await Promise.all(tabs.map((tab) => tab.waitForFunction('states.includes("signed_out")')));
    await Promise.all(tabs.map((tab) => tab.evaluate('client.token().catch(({ code }) => ends.add(code))')));
    // As long as it takes to begin another session, if anybody did.
    let [alive, ours] = [new Response(), 0];
    // A token of two seconds may be over before it is used.
    while (ours < 2 || alive.status === 401) {
      const { access_token } = await service.authenticate(user_key);
      ours += 1;
      alive = await fetch(`${service.url}/sessions`, { headers: { authorization: `Bearer ${access_token}` } });
    }
    expect(((await alive.json()) as { items: unknown[] }).items).toHaveLength(ours);
    for (const tab of tabs) {
      expect(await tab.evaluate('states.at(-1)')).toBe('signed_out');
      expect(await tab.evaluate('states.filter((each) => each === "signed_out").length')).toBe(1);
      expect(await tab.evaluate('[...ends]')).toEqual(['reauthentication_required']);
      expect(await tab.evaluate('localStorage.getItem("gatebook")')).toBeNull();
    }
  });

  test.concurrent('have no timer while nobody calls', async () => {
    const { refresh_token } = await service.authenticate(await service.register());
    const [tab] = await open(browser, pages.origin, 1);
    const found = await tab!.evaluate(
      async ([url, refresh_token]) => {
        const { createClient, localStorageStore } = globalThis as unknown as Global;
        const set: string[] = [];
        const running = new Set<unknown>();
        const { setTimeout, clearTimeout, setInterval, requestIdleCallback } = window;
        Object.assign(window, {
          setTimeout(work: () => void, ms: number) {
            const timer = setTimeout(() => (running.delete(timer), work()), ms);
            running.add(timer);
            return timer;
          },
          clearTimeout: (timer: number) => (running.delete(timer), clearTimeout(timer)),
          setInterval: () => set.push('an interval'),
          requestIdleCallback: () => set.push('an idle callback'),
          requestAnimationFrame: () => set.push('a frame'),
        });
        const client = createClient({ url, credentials: { refresh_token }, store: localStorageStore() });
        await client.token();
        await client.fetch(`${url}/me`);
        await new Promise((done) => setTimeout(done, 0));
        Object.assign(window, { setTimeout, clearTimeout, setInterval, requestIdleCallback });
        return [set, running.size];
      },
      [service.url, refresh_token] as const,
    );
    expect(found).toEqual([[], 0]);
  });

  test.concurrent('are told when the database is something else\'s', async () => {
    const [tab] = await open(browser, pages.origin, 1);
    const code = await tab!.evaluate(async () => {
      const { indexedDBStore } = globalThis as unknown as Global;
      await new Promise<void>((done) => {
        const opening = indexedDB.open('gatebook', 7);
        opening.onupgradeneeded = () => opening.result.createObjectStore('of another');
        opening.onsuccess = () => (opening.result.close(), done());
      });
      return (indexedDBStore().read() as Promise<unknown>).catch(({ code }) => code as unknown);
    });
    expect(code).toBe('configuration');
  });

  test.concurrent('that are closed hear nothing more', async () => {
    const [here, there] = await open(browser, pages.origin, 2);
    const { refresh_token } = await service.authenticate(await service.register());
    const given = [service.url, refresh_token] as const;
    await here!.evaluate(
      ([url, refresh_token]) => {
        const { createClient, localStorageStore } = globalThis as unknown as Global;
        const heard: string[] = [];
        const store = localStorageStore();
        const clients = [1, 2].map((which) => {
          const client = createClient({ url, credentials: { refresh_token }, store });
          client.onChange(({ state }) => heard.push(`${which} ${state}`));
          return client;
        });
        clients[0]!.close();
        Object.assign(window, { heard });
      },
      given,
    );
    await there!.evaluate(
      async ([url, refresh_token]) => {
        const { createClient, localStorageStore } = globalThis as unknown as Global;
        await createClient({ url, credentials: { refresh_token }, store: localStorageStore() }).token();
      },
      given,
    );
    await here!.waitForFunction('heard.length');
    expect(await here!.evaluate('heard')).toEqual(['2 signed_in']);
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
            // Which session it is: whose tokens change meanwhile, and are nobody's to print.
            return (JSON.parse(localStorage.getItem('gatebook')!) as { refresh_token: string }).refresh_token.slice(4, 26);
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
      let thaw = (): void => {};
      const thawed = new Promise<void>((done) => (thaw = done));
      const frozen = store
        .locked!(async (mine) => {
          await thawed;
          try {
            mine();
          } catch (error) {
            later = (error as { code: string }).code;
          }
        })
        .catch(({ code }) => code as string);
      const second = await store.locked!(async () => 'got it');
      const first = await frozen;
      thaw();
      await new Promise((done) => setTimeout(done, 0));
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

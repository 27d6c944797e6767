/** What becomes of a session that is ended while tokens are renewed, and where it can't be; against a stand-in. */

import { describe, expect, test } from 'vitest';

import { createClient, GatebookError, memoryStore, type Change, type Fetch, type Kept, type Store } from '../src/index.js';
import { made, pause, SECRET, shared } from './clients.js';
import { StandIn, URL_OF_SERVICE } from './standin.js';

describe('signing out while tokens are renewed all the time', () => {
  /** Clients that need another token for each call, and what becomes of them when the first one signs out. */
  async function signedOut(stores: readonly Store[]): Promise<{ stand: StandIn; kept: unknown; states: string[]; ends: string[] }> {
    const stand = new StandIn({ lifeS: 1, rotates: true, now: Date.now });
    const fetch: Fetch = async (input, init) => {
      const answer = await stand.fetch(input, init);
      await pause(4);
      return answer;
    };
    const states: string[] = [];
    let over = false;
    const clients = stores.map((store, index) => {
      const client = createClient({ url: URL_OF_SERVICE, credentials: SECRET, fetch, store });
      client.onChange(({ state }) => (states[index] = state));
      return client;
    });
    const calling = clients.map(async (client) => {
      while (!over) await client.token().catch(() => pause(1));
      return client.token().then(
        () => 'a token',
        ({ code }: GatebookError) => code,
      );
    });
    await pause(30);
    await clients[0]!.signOut();
    await pause(50);
    over = true;
    const ends = await Promise.all(calling);
    return { stand, kept: await stores[0]!.read(), states, ends };
  }

  test.each(Array.from({ length: 5 }, (_, turn) => turn))('ends it for one client (%i)', async () => {
    const { stand, kept, states, ends } = await signedOut([memoryStore()]);
    expect(kept).toBeNull();
    expect(states).toEqual(['signed_out']);
    expect(ends).toEqual(['reauthentication_required']);
    expect(stand.live).toBe(0);
  });

  test.each([true, false, true, false, true])('ends it for all who share the store (they tell each other: %s)', async (tells) => {
    const made = shared({ tells });
    const { stand, kept, states, ends } = await signedOut([made(), made(), made()]);
    expect(kept).toBeNull();
    expect(states).toEqual(Array(3).fill('signed_out'));
    expect(ends).toEqual(Array(3).fill('reauthentication_required'));
    expect(stand.live).toBe(0);
  });

  test('news of the session that come late change nothing', async () => {
    let tell = (_: Kept | null): void => {};
    const store = { ...memoryStore(), hear: (listener: typeof tell) => ((tell = listener), () => {}) };
    const { client } = made({ store });
    const heard: string[] = [];
    await client.token();
    const kept = await store.read();
    client.onChange(({ state }) => heard.push(state));
    await client.signOut();
    tell({ ...kept, access_token: kept!.access_token!.replace('e30', 'e30K') });
    await pause(0);
    expect(heard).toEqual(['signed_out']);
    await expect(client.token()).rejects.toMatchObject({ code: 'reauthentication_required' });
  });
});

describe('signing out', () => {
  test('ends the session, forgets it, and tells', async () => {
    const store = memoryStore();
    const { client, stand } = made({ store });
    const heard: Change[] = [];
    const stop = client.onChange((change) => heard.push(change));
    await client.token();
    await client.signOut();
    expect(await store.read()).toBeNull();
    expect(stand.requests['/revoke']).toBe(1);
    await expect(client.token()).rejects.toMatchObject({ code: 'reauthentication_required' });
    expect(heard.map(({ state }) => state)).toEqual(['signed_in', 'signed_out']);
    expect(heard[0]!.expires_at).toBeInstanceOf(Date);
    expect(JSON.stringify(heard)).not.toContain(stand.tokensSeen[0] ?? 'gbr_');
    stop();
    expect(stand.requests['/authenticate']).toBe(1);
  });

  test('forgets the session also when the service is gone', async () => {
    const store = memoryStore();
    const { client, stand } = made({ store, patience: 0 });
    await client.token();
    stand.goneUntil = Infinity;
    await expect(client.signOut()).rejects.toMatchObject({ code: 'unavailable' });
    expect(await store.read()).toBeNull();
    // Once more, until the service knows.
    expect(stand.live).toBe(1);
    await expect(client.signOut()).rejects.toMatchObject({ code: 'unavailable' });
    stand.goneUntil = -Infinity;
    await client.signOut();
    expect(stand.live).toBe(0);
    const asked = stand.requests['/revoke'];
    await client.signOut();
    expect(stand.requests['/revoke']).toBe(asked);
  });

  test('ends the session also when the store can not be written, and says so', async () => {
    const store = memoryStore();
    let broken = true;
    const write = (kept: Kept | null): void | Promise<void> => {
      if (broken && !kept) throw new Error('EROFS');
      return store.write(kept);
    };
    const { client, stand } = made({ store: { ...store, write } });
    await client.token();
    await expect(client.signOut()).rejects.toMatchObject({ name: 'GatebookError', code: 'store_unavailable' });
    expect(stand.live).toBe(0);
    await expect(client.token()).rejects.toMatchObject({ code: 'reauthentication_required' });
    broken = false;
    await client.signOut();
    expect(await store.read()).toBeNull();
  });

  test('does not wait for somebody who is asked for credentials', async () => {
    const { client } = made({ credentials: () => new Promise(() => {}) });
    const token = client.token().catch(({ code }: GatebookError) => code);
    await pause(5);
    await client.signOut();
    expect(await token).toBe('reauthentication_required');
  });

  test('that was given up before it began does nothing', async () => {
    const { client, stand } = made();
    const token = await client.token();
    const given = client.signOut({ signal: AbortSignal.abort(null) });
    expect(await given.then(() => 'done', (thrown: unknown) => [thrown])).toEqual([null]);
    expect(await client.token()).toBe(token);
    expect(stand.live).toBe(1);
  });

  test('waits for others no longer than its signal', async () => {
    const { client } = made({ store: { ...memoryStore(), locked: () => new Promise(() => {}) } });
    await expect(client.signOut({ signal: AbortSignal.timeout(5) })).rejects.toMatchObject({ name: 'TimeoutError' });
  });

  test('lets those who are asked for credentials be asked again', async () => {
    let asked = 0;
    const { client } = made({
      credentials: async () => {
        asked++;
        return SECRET;
      },
    });
    await client.token();
    await client.token();
    await client.signOut();
    await client.token();
    expect(asked).toBe(2);
  });
});

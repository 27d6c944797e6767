/** How a program calls: bodies, signals, who is told what; against a stand-in. */

import { describe, expect, test } from 'vitest';

import {
  createClient,
  GatebookError,
  memoryStore,
  type Change,
  type Client,
  type ClientOptions,
  type Credentials,
  type Fetch,
  type Kept,
  type Store,
} from '../src/index.js';
import { StandIn, URL_OF_API, URL_OF_SERVICE, USER_KEY } from './standin.js';

const SECRET = { user_key: USER_KEY, user_secret: 'a quiet rope of seven' };
const REFUSED = { status: 401, challenge: 'invalid_token' };

function made(more: Partial<ClientOptions> = {}): { client: Client; stand: StandIn } {
  const stand = new StandIn({ lifeS: 3600, rotates: false, now: Date.now });
  const client = createClient({ url: URL_OF_SERVICE, credentials: SECRET, fetch: stand.fetch, ...more });
  return { client, stand };
}

/** A network that answers when it is told to. */
function held(stand: StandIn): { fetch: Fetch; go: () => void } {
  let go = (): void => {};
  const told = new Promise<void>((resolve) => (go = resolve));
  return { fetch: (input, init) => told.then(() => stand.fetch(input, init)), go };
}

describe('a request that is refused', () => {
  test.each([
    ['text', 'an order'],
    ['bytes', new TextEncoder().encode('an order')],
    ['a form', new URLSearchParams({ an: 'order' })],
  ])('is sent again with %s as its body', async (_, body) => {
    const bodies: string[] = [];
    const { stand } = made();
    const fetch: Fetch = async (input, init) => {
      if (input === URL_OF_API) bodies.push(await new Response(init?.body).text());
      return stand.fetch(input, init);
    };
    stand.api = [REFUSED];
    const { client } = made({ fetch });
    expect((await client.fetch(URL_OF_API, { method: 'POST', body })).status).toBe(200);
    expect(bodies).toHaveLength(2);
    expect(bodies[1]).toBe(bodies[0]);
  });

  test('is sent again when it was given as a Request', async () => {
    const { client, stand } = made();
    stand.api = [REFUSED];
    const request = new Request(URL_OF_API, { method: 'POST', body: 'an order', headers: { 'x-mine': 'yes' } });
    expect((await client.fetch(request)).status).toBe(200);
    expect(stand.requests['api']).toBe(2);
  });

  test('is not sent again with a stream as its body', async () => {
    const { client, stand } = made();
    stand.api = [REFUSED];
    const body = new Blob(['an order']).stream();
    const answer = await client.fetch(URL_OF_API, { method: 'POST', body, duplex: 'half' } as RequestInit);
    expect(answer.status).toBe(401);
    expect(stand.requests['api']).toBe(1);
  });

  test('keeps the headers that it had', async () => {
    const { stand } = made();
    const seen: Headers[] = [];
    const fetch: Fetch = (input, init) => {
      if (input === URL_OF_API) seen.push(new Headers(init?.headers));
      return stand.fetch(input, init);
    };
    const { client } = made({ fetch });
    await client.fetch(URL_OF_API, { headers: { 'x-mine': 'yes', authorization: 'Basic x' } });
    expect(seen[0]!.get('x-mine')).toBe('yes');
    expect(seen[0]!.get('authorization')).toMatch(/^Bearer /);
  });
});

describe('whoever gives up', () => {
  test('takes nothing from the others', async () => {
    const { stand } = made();
    const { fetch, go } = held(stand);
    const { client } = made({ fetch });
    const giving = new AbortController();
    const first = client.token({ signal: giving.signal });
    const second = client.token();
    const third = client.fetch(URL_OF_API, { signal: AbortSignal.abort(new Error('never')) });
    giving.abort(new Error('too slow'));
    await expect(first).rejects.toThrow('too slow');
    await expect(third).rejects.toThrow('never');
    go();
    expect(await second).toContain('.');
    expect(stand.requests['/authenticate']).toBe(1);
  });

  test('alone still has the token kept that was on its way', async () => {
    const { stand } = made();
    const { fetch, go } = held(stand);
    const store = memoryStore();
    const { client } = made({ fetch, store });
    const first = client.token({ signal: AbortSignal.timeout(5) });
    await expect(first).rejects.toMatchObject({ name: 'TimeoutError' });
    go();
    expect(await client.token()).toBe((await store.read())!.access_token);
    expect(stand.requests['/authenticate']).toBe(1);
  });
});

describe('a refused answer', () => {
  /** Of an API that refuses once, with this body. */
  async function refusing(body: BodyInit | null, read?: (answer: Response) => void): Promise<[number, unknown[]]> {
    const unhandled: unknown[] = [];
    const hear = (reason: unknown): void => void unhandled.push(reason);
    process.on('unhandledRejection', hear);
    let turn = 0;
    const { stand } = made();
    const headers = { 'www-authenticate': 'Bearer error="invalid_token"' };
    const fetch: Fetch = async (input, init) => {
      if (input !== URL_OF_API || turn++) return stand.fetch(input, init);
      const answer = new Response(body, { status: 401, headers });
      read?.(answer);
      return answer;
    };
    const { status } = await made({ fetch }).client.fetch(URL_OF_API);
    await new Promise((done) => setTimeout(done, 10));
    process.off('unhandledRejection', hear);
    return [status, unhandled];
  }

  test('whose connection breaks meanwhile harms nobody', async () => {
    const broken = new ReadableStream({ start: (stream) => stream.error(new TypeError('terminated')) });
    expect(await refusing(broken)).toEqual([200, []]);
  });

  test('that somebody else is reading harms nobody', async () => {
    expect(await refusing('no', (answer) => void answer.body!.getReader())).toEqual([200, []]);
  });
});

/** A store that several share, one at a time; news of it comes a little later. */
function shared({ tells = true } = {}): () => Store {
  let kept: Kept | null = null;
  let last: Promise<unknown> = Promise.resolve();
  const ears = new Map<object, (kept: Kept | null) => void>();
  return () => {
    const me = {};
    return {
      read: () => kept,
      write(given) {
        kept = given;
        for (const [whose, ear] of ears) if (whose !== me) setTimeout(() => ear(given), 3);
      },
      locked: (work) => {
        const mine = last.then(() => work(() => {}));
        last = mine.catch(() => {});
        return mine;
      },
      ...(tells && {
        hear(listener: (kept: Kept | null) => void) {
          ears.set(me, listener);
          return () => ears.delete(me);
        },
      }),
    };
  };
}

const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

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

describe('somebody who is asked for credentials', () => {
  test('and mistypes them, or gives up, is asked again by the next call', async () => {
    const answers = [SECRET, undefined, SECRET];
    const { client, stand } = made({ credentials: async () => answers.shift() });
    stand.service = [{ status: 401, code: 'invalid_credentials' }];
    await expect(client.token()).rejects.toMatchObject({ problem: { code: 'invalid_credentials' } });
    await expect(client.token()).rejects.toMatchObject({ code: 'reauthentication_required' });
    expect(await client.token()).toContain('.');
    expect(stand.requests['/authenticate']).toBe(2);
  });

  test('is not waited for any more once somebody has logged in in another tab', async () => {
    const store = shared();
    const { stand } = made();
    let type = (_: Credentials): void => {};
    const asked = new Promise<Credentials>((resolve) => (type = resolve));
    const waiting = made({ store: store(), fetch: stand.fetch, credentials: () => asked }).client;
    const calls = [waiting.token(), waiting.token()];
    await pause(5);
    const token = await made({ store: store(), fetch: stand.fetch }).client.token();
    expect(await Promise.all(calls)).toEqual([token, token]);
    // What is typed afterwards begins nothing.
    type(SECRET);
    await pause(5);
    expect(stand.requests['/authenticate']).toBe(1);
  });

  test('does not have a refused refresh token shown again', async () => {
    const store = memoryStore();
    const { client: before, stand } = made({ store });
    await before.token();
    stand.endSessions();
    const kept = await store.read();
    const { access_token } = kept!;
    await store.write({ ...kept, access_token: `${access_token!.split('.')[0]}.${btoa('{"iat":1,"exp":2,"sub":"x"}')}.c` });
    const { client } = made({ store, fetch: stand.fetch, credentials: () => undefined });
    for (let turn = 0; turn < 3; turn++) await expect(client.token()).rejects.toMatchObject({ code: 'reauthentication_required' });
    expect(stand.requests['/refresh']).toBe(1);
  });
});

test.each([null, undefined, 0, new Error('enough')])('a call that is given up because of %j was not done', async (reason) => {
  const { stand } = made();
  const giving = new AbortController();
  const fetch: Fetch = (input, init) => {
    if (`${input as string}`.endsWith('/me/secret')) return new Promise(() => giving.abort(reason));
    return stand.fetch(input, init);
  };
  const { api } = made({ fetch }).client;
  const done = api.changeSecret({ user_secret: 'x', new_user_secret: 'y' }, { signal: giving.signal });
  expect(await done.then(() => 'done', (thrown: unknown) => [thrown])).toEqual([giving.signal.reason]);
});

test('a client that was closed hears of no other one', async () => {
  const store = shared();
  const { stand } = made();
  const { client } = made({ store: store(), fetch: stand.fetch });
  const heard: string[] = [];
  client.onChange(({ state }) => heard.push(state));
  client.close();
  await made({ store: store(), fetch: stand.fetch }).client.token();
  await pause(10);
  expect(heard).toEqual([]);
});

describe('credentials', () => {
  test('that nobody gives are missed', async () => {
    const { client } = made({ credentials: () => undefined });
    await expect(client.token()).rejects.toMatchObject({ code: 'reauthentication_required' });
    const none = createClient({ url: URL_OF_SERVICE });
    await expect(none.token()).rejects.toMatchObject({ code: 'reauthentication_required' });
  });

  test('are asked for only when what is kept is no good', async () => {
    const store = memoryStore();
    await made({ store }).client.token();
    let asked = 0;
    const { client, stand } = made({ store, credentials: () => void asked++ });
    await client.token();
    expect(asked).toBe(0);
    expect(stand.requests).toMatchObject({ '/authenticate': 0, '/refresh': 0 });
  });

  test.each([
    [{ url: 'http://auth.example' }, 'unencrypted'],
    [{ url: 'ftp://auth.example' }, 'no address'],
    [{ url: 'https://auth.example?x' }, 'no address'],
    [{ url: 'https://ada:secret@auth.example' }, 'no address'],
    [{ url: 'nowhere' }, 'no address'],
    [{ credentials: {} }, 'Give'],
    [{ credentials: { user_secret: 'x' } }, 'user_key'],
    [{ credentials: { user_key: 'uk_x' } }, 'Give'],
    [{ credentials: { refresh_token: 'x' } }, 'refresh_token'],
    [{ patience: NaN }, 'seconds'],
    [{ patience: -1 }, 'seconds'],
    [{ timeout: NaN }, 'seconds'],
    [{ timeout: -1 }, 'seconds'],
    [{ timeout: Infinity }, 'seconds'],
  ])('or an address, or a time, like %j are refused at once', (more, message) => {
    const make = (): unknown => made(more as Partial<ClientOptions>);
    expect(make).toThrow(expect.objectContaining({ code: 'configuration', message: expect.stringContaining(message) }));
    expect(make).not.toThrow('secret@');
  });

  test.each(['http://localhost:8000/', 'http://127.0.0.1:8000', 'http://[::1]:8000', 'https://example.org/auth/'])(
    'go to %s',
    (url) => {
      expect(createClient({ url }).url).toBe(url.replace(/\/$/, ''));
    },
  );

  test('security rule 19: are in nothing that is printed', async () => {
    const { client } = made();
    const token = await client.token();
    const said = JSON.stringify(client) + String(client) + (await import('node:util')).inspect(client, { depth: 9 });
    for (const secret of [SECRET.user_secret, token, 'gbr_']) expect(said).not.toContain(secret);
    const { client: other } = made({ fetch: async () => Response.json({ access_token: 'canary' }) });
    const error = await other.token().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(GatebookError);
    expect((await import('node:util')).inspect(error, { depth: 9 })).not.toContain('canary');
  });
});

describe('odd answers change nothing', () => {
  const odd = [
    '{"__proto__":{"access_token":"a.e30.c","refresh_token":"gbr_"}}',
    '{"access_token":{"split":1},"refresh_token":"gbr_"}',
    '{"access_token":"a.b.c","refresh_token":"gbr_"}',
    '{"access_token":"a.bnVsbA.c","refresh_token":"gbr_"}',
    `{"access_token":"a.${btoa('{"iat":2,"exp":1}')}.c","refresh_token":"gbr_"}`,
    `{"access_token":"a.${btoa('{"iat":1,"exp":"2"}')}.c","refresh_token":"gbr_"}`,
    `{"access_token":"a.${btoa('{"__proto__":{"iat":1,"exp":2}}')}.c","refresh_token":"gbr_"}`,
    `{"access_token":"a.${btoa('{"iat":1,"exp":2}')}.c","refresh_token":7}`,
    `{"access_token":"a.${btoa('{"iat":1,"exp":2}')}.c"}`,
    '[]',
    'null',
    '7',
    '',
  ];
  test.each(odd)('%s', async (text) => {
    const store = memoryStore();
    const { client } = made({ store, fetch: async () => new Response(text) });
    await expect(client.token()).rejects.toMatchObject({ code: 'unexpected_answer' });
    expect(await store.read()).toBeNull();
    expect(({} as Record<string, unknown>)['access_token']).toBeUndefined();
  });

  test('a problem with a name that is a method has a code all the same', async () => {
    const body = '{"code":"__proto__","status":400,"detail":"x","toString":1,"__proto__":{"code":"invalid_token"}}';
    const { client } = made({ fetch: async () => new Response(body, { status: 400 }) });
    await expect(client.token()).rejects.toMatchObject({ code: '__proto__' });
  });
});

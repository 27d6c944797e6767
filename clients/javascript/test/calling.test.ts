/** How a program calls: bodies, signals, who is told what; against a stand-in. */

import { describe, expect, test } from 'vitest';

import { createClient, GatebookError, memoryStore, type ClientOptions, type Fetch } from '../src/index.js';
import { made, pause, SECRET, shared } from './clients.js';
import { StandIn, URL_OF_API, URL_OF_SERVICE } from './standin.js';

const REFUSED = { status: 401, challenge: 'invalid_token' };

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

/** The client against a service that runs. */

import { beforeAll, describe, expect, inject, test, vi } from 'vitest';

import { createClient, GatebookError, memoryStore, type Fetch } from '../src/index.js';
import { SECRET, serve, serviceAt } from './service.js';

const service = serviceAt(inject('service'));
let user_key: string;
beforeAll(async () => {
  user_key = await service.register();
});

/** The network's, which counts what was asked. */
function counting(): { fetch: Fetch; count: (path: string) => number } {
  const paths: string[] = [];
  return {
    fetch: (input, init) => {
      paths.push(new URL(input instanceof Request ? input.url : input).pathname);
      return fetch(input, init);
    },
    count: (path) => paths.filter((each) => each === path).length,
  };
}

const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

describe('renewing', () => {
  test('50 parallel calls at expiry make one refresh', async () => {
    const { fetch, count } = counting();
    const client = createClient({ url: service.url, credentials: { user_key, user_secret: SECRET }, fetch });
    await client.token();
    await pause(2000);
    const answers = await Promise.all(Array.from({ length: 50 }, () => client.fetch(`${service.url}/me`)));
    expect(answers.map((answer) => answer.status)).toEqual(Array(50).fill(200));
    expect(count('/refresh')).toBe(1);
    expect(count('/authenticate')).toBe(1);
    expect(count('/me')).toBe(50);
  });

  test.each([3600, -3600])('a clock that is %i s off changes nothing', async (seconds) => {
    // Its tokens outlive the test, however slow: a second renewal is the clock's fault alone.
    const lasting = await serve();
    const now = Date.now.bind(Date);
    vi.spyOn(Date, 'now').mockImplementation(() => now() + seconds * 1000);
    try {
      const { fetch, count } = counting();
      const credentials = { user_key: await lasting.register(), user_secret: SECRET };
      const client = createClient({ url: lasting.url, credentials, fetch });
      for (let call = 0; call < 5; call++) expect((await client.fetch(`${lasting.url}/me`)).status).toBe(200);
      expect(count('/refresh') + count('/authenticate')).toBe(1);
    } finally {
      vi.restoreAllMocks();
      await lasting.end();
    }
  });

  test('a session that was ended is begun anew', async () => {
    const store = memoryStore();
    const client = createClient({ url: service.url, credentials: { user_key, user_secret: SECRET }, store });
    const { session_id } = await client.api.me();
    const kept = await store.read();
    await client.api.revoke({ refresh_token: kept!.refresh_token! });
    const answer = await client.fetch(`${service.url}/me`);
    expect(answer.status).toBe(200);
    expect(((await answer.json()) as { session_id: string }).session_id).not.toBe(session_id);
  });

  test('nothing of it was a reuse', () => {
    const found = service.events('refresh_token.reuse_detected', 'refresh_token.rotated');
    expect(found['refresh_token.reuse_detected']).toBe(0);
    expect(found['refresh_token.rotated']).toBeGreaterThan(0);
  });
});

test('a service that is overloaded is waited for', async () => {
  // One hash at a time, of about a second: who would wait longer than two is told to come again.
  const busy = await serve({ HASH_MEMORY_KIB: '19456', HASH_TIME: '50', HASH_THREADS: '1' });
  try {
    const user_key = await busy.register();
    const told: (string | null)[] = [];
    const hearing: Fetch = async (input, init) => {
      const answer = await fetch(input, init);
      if (answer.status === 503) told.push(answer.headers.get('retry-after'));
      return answer;
    };
    const credentials = { user_key, user_secret: SECRET };
    const clients = Array.from({ length: 5 }, () => createClient({ url: busy.url, credentials, fetch: hearing, patience: 100 }));
    const tokens = await Promise.all(clients.map((client) => client.token()));
    expect(new Set(tokens).size).toBe(5);
    expect(told.length).toBeGreaterThan(0);
    for (const each of told) expect(each).toMatch(/^\d+$/);
  } finally {
    await busy.end();
  }
}, 120_000);

describe('calls of the service', () => {
  test('register, find, authenticate, refresh, revoke', async () => {
    const { api } = createClient({ url: service.url });
    const user = { user_id: `ada${Math.random()}`, user_secret: SECRET };
    const { user_key } = await api.register(user);
    expect(await api.userKey(user)).toEqual({ user_key });
    await expect(api.register(user)).rejects.toMatchObject({ code: 'user_id_taken', problem: { status: 409 } });
    const { access_token, refresh_token } = await api.authenticate({ user_key, user_secret: SECRET });
    const other = await api.refresh({ refresh_token, rotate: true });
    expect(other.access_token).not.toBe(access_token);
    expect(other.refresh_token).not.toBe(refresh_token);
    expect(await api.revoke({ refresh_token: other.refresh_token! })).toBeUndefined();
    await expect(api.refresh({ refresh_token })).rejects.toMatchObject({
      code: 'invalid_token',
      problem: { reason: 'revoked' },
    });
    await expect(api.me()).rejects.toMatchObject({ code: 'reauthentication_required' });
  });

  test('of the holder of a token', async () => {
    const user_key = await service.register();
    const { api } = createClient({ url: service.url, credentials: { user_key, user_secret: SECRET } });
    const me = await api.me();
    expect(me).toMatchObject({ user_key, permissions: [] });
    await service.authenticate(user_key);
    const found = [];
    for await (const session of api.sessions()) found.push(session);
    expect(found.map(({ current }) => current).sort()).toEqual([false, true]);
    const { session_id } = found.find(({ current }) => !current)!;
    await api.endSession(session_id);
    await api.endSession(session_id);
    await expect(api.endSession('0'.repeat(22))).rejects.toMatchObject({ code: 'not_found' });
    await api.endSessions({ keep: 'current' });
    expect((await api.me()).session_id).toBe(me.session_id);
    const types = [];
    for await (const event of api.events()) types.push(event.type);
    expect(types.at(-1)).toBe('user.registered');
    await expect(api.changeSecret({ user_secret: 'wrong wrong', new_user_secret: SECRET })).rejects.toBeInstanceOf(GatebookError);
    const new_user_secret = 'another rope of seven';
    await api.changeSecret({ user_secret: SECRET, new_user_secret });
    await expect(api.changeSecret({ user_secret: new_user_secret, new_user_secret: 'short' })).rejects.toMatchObject({
      code: 'unacceptable_secret',
      problem: { errors: [{ pointer: '/new_user_secret' }] },
    });
    await expect(api.erase({ user_secret: new_user_secret })).resolves.toHaveProperty('finished');
  });

  test('a name that is another\'s is said to be taken, also after an answer that was lost', async () => {
    let away = 1;
    const losing: Fetch = async (input, init) =>
      `${input as string}`.endsWith('/register') && away-- > 0 ? new Response('', { status: 503 }) : fetch(input, init);
    const { api } = createClient({ url: service.url, fetch: losing });
    const user_id = `joan${Math.random()}`;
    await service.register(user_id);
    await expect(api.register({ user_id, user_secret: 'another rope of seven' })).rejects.toMatchObject({
      code: 'user_id_taken',
      problem: { status: 409 },
    });
  });

  test('a name is never said to be taken by a lost answer of one\'s own', async () => {
    let lost = 1;
    const losing: Fetch = async (input, init) => {
      const answer = await fetch(input, init);
      if (`${input as string}`.endsWith('/register') && lost-- > 0) throw new TypeError('terminated');
      return answer;
    };
    const { api } = createClient({ url: service.url, fetch: losing });
    const user = { user_id: `grace${Math.random()}`, user_secret: SECRET };
    const { user_key } = await api.register(user);
    expect(await api.userKey(user)).toEqual({ user_key });
  });
});

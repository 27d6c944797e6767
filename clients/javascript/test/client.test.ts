/** The client against a service that runs. */

import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';

import { createClient, memoryStore, type Fetch } from '../src/index.js';
import { SECRET, serve, type Service } from './service.js';

let service: Service;
let user_key: string;

beforeAll(async () => {
  service = await serve({ ACCESS_TOKEN_TTL: '2', REFRESH_ROTATION: 'always' });
  user_key = await service.register();
});
afterAll(() => service.end());

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
    const now = Date.now.bind(Date);
    vi.spyOn(Date, 'now').mockImplementation(() => now() + seconds * 1000);
    try {
      const { fetch, count } = counting();
      const client = createClient({ url: service.url, credentials: { user_key, user_secret: SECRET }, fetch });
      for (let call = 0; call < 5; call++) expect((await client.fetch(`${service.url}/me`)).status).toBe(200);
      expect(count('/refresh') + count('/authenticate')).toBe(1);
    } finally {
      vi.restoreAllMocks();
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

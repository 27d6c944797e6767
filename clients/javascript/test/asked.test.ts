/** Somebody who is asked for credentials; against a stand-in. */

import { describe, expect, test } from 'vitest';

import { memoryStore, type Credentials } from '../src/index.js';
import { made, pause, SECRET, shared } from './clients.js';

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

/** The table that all clients share, read against a stand-in and a clock that stands still. */

import { readFileSync } from 'node:fs';

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { createClient, GatebookError, type Client } from '../src/index.js';
import { StandIn, URL_OF_API, URL_OF_SERVICE, USER_KEY, type Answer } from './standin.js';

interface Step {
  readonly call?: number;
  readonly outcome?: number | string;
  readonly took_s?: readonly [number, number];
  readonly wait_s?: number;
  readonly gone_s?: number;
  readonly service?: Answer[];
  readonly api?: Answer[];
  readonly sessions_end?: true;
}

interface Behaviour {
  readonly name: string;
  readonly credentials: 'secret' | 'refresh_token' | 'both';
  readonly life_s?: number;
  readonly rotation?: 'always' | 'on-request';
  readonly clock_off_s?: number;
  readonly steps: readonly Step[];
  readonly requests: Readonly<Record<string, number>>;
  readonly presented?: readonly number[];
}

const table = JSON.parse(readFileSync(new URL('../../behaviours.json', import.meta.url), 'utf8')) as {
  behaviours: Behaviour[];
};

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date', 'performance', 'setTimeout', 'clearTimeout'] });
});
afterEach(() => {
  vi.useRealTimers();
});

async function outcomeOf(client: Client): Promise<number | string> {
  try {
    return (await client.fetch(URL_OF_API)).status;
  } catch (error) {
    expect(error).toBeInstanceOf(GatebookError);
    return (error as GatebookError).code;
  }
}

async function take(step: Step, client: Client, standIn: StandIn): Promise<void> {
  if (step.wait_s) await vi.advanceTimersByTimeAsync(step.wait_s * 1000);
  if (step.gone_s) standIn.goneUntil = performance.now() + step.gone_s * 1000;
  if (step.service) standIn.service = [...step.service];
  if (step.api) standIn.api = [...step.api];
  if (step.sessions_end) standIn.endSessions();
  if (!step.call) return;
  const began = performance.now();
  let took = Infinity;
  const calls = Promise.all(Array.from({ length: step.call }, () => outcomeOf(client)));
  void calls.then(() => (took = (performance.now() - began) / 1000));
  for (let slice = 0; took === Infinity && slice < 4000; slice++) await vi.advanceTimersByTimeAsync(10);
  expect(await calls).toEqual(Array(step.call).fill(step.outcome));
  const [least, most] = step.took_s ?? [0, 2];
  expect(took).toBeGreaterThanOrEqual(least);
  expect(took).toBeLessThanOrEqual(most);
  // What is done beside the calls, too.
  await vi.advanceTimersByTimeAsync(0);
}

describe('behaviours of every client', () => {
  test.each(table.behaviours)('$name', async (behaviour) => {
    const off = (behaviour.clock_off_s ?? 0) * 1000;
    const standIn = new StandIn({
      lifeS: behaviour.life_s ?? 3600,
      rotates: behaviour.rotation === 'always',
      now: () => Date.now() - off,
    });
    const secret = { user_key: USER_KEY, user_secret: 'a quiet rope of seven' };
    const credentials = {
      ...(behaviour.credentials !== 'refresh_token' && secret),
      ...(behaviour.credentials !== 'secret' && { refresh_token: standIn.session() }),
    };
    const client = createClient({ url: URL_OF_SERVICE, credentials, fetch: standIn.fetch });
    for (const step of behaviour.steps) await take(step, client, standIn);
    expect(standIn.requests).toMatchObject(behaviour.requests);
    if (behaviour.presented) expect(standIn.presented).toEqual(behaviour.presented);
  });

  test('every behaviour has a name of its own', () => {
    expect(new Set(table.behaviours.map(({ name }) => name)).size).toBe(table.behaviours.length);
  });
});

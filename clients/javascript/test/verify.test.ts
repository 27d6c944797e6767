/** The verifier, against an issuer that signs whatever it is told to, and one that runs. */

import { readFileSync } from 'node:fs';

import { afterEach, beforeAll, describe, expect, inject, test, vi } from 'vitest';

import { bearer, createVerifier, GatebookError, type Verifier, type VerifierOptions } from '../src/verify/index.js';
import { ISSUER, Issuer, type Changes } from './issuer.js';
import { serviceAt } from './service.js';

const table = JSON.parse(readFileSync(new URL('../../behaviours.json', import.meta.url), 'utf8')) as {
  tokens: (Changes & { name: string; outcome: string })[];
  revocations: { name: string; steps: Step[] }[];
};
interface Step {
  readonly keys_away?: true;
  readonly ends_s?: number;
  readonly withdrawn_s?: number;
  readonly wait_s?: number;
  readonly issuer_off_s?: number;
  readonly outcome?: string;
}
const seconds = (): number => Math.floor(Date.now() / 1000);

let made: Verifier[] = [];
afterEach(() => {
  for (const verifier of made) verifier.close();
  made = [];
  vi.restoreAllMocks();
});

function verifierOf(issuer: Issuer, more: Partial<VerifierOptions> = {}): Verifier {
  const verifier = createVerifier({ issuer: ISSUER, fetch: issuer.fetch, revocations: false, ...more });
  made.push(verifier);
  return verifier;
}

async function outcomeOf(verifier: Verifier, token: unknown): Promise<string> {
  try {
    await verifier.verify(token as string);
    return 'accepted';
  } catch (error) {
    expect(error).toBeInstanceOf(GatebookError);
    return (error as GatebookError).code;
  }
}

describe('security rule 13: what a token must be', () => {
  let issuer: Issuer;
  beforeAll(async () => {
    issuer = await Issuer.make();
  });

  test.each(table.tokens)('$name: $outcome', async ({ outcome, ...changes }) => {
    const token = await issuer.token(seconds() - 10, changes);
    expect(await outcomeOf(verifierOf(issuer), token)).toBe(outcome);
  });

  test.each(['EdDSA', 'RS256'])('%s is known, too', async (algorithm) => {
    const other = await Issuer.make(algorithm);
    expect(await outcomeOf(verifierOf(other), await other.token(seconds()))).toBe('accepted');
  });

  test('who calls is what the signed claims say, whatever their names', async () => {
    const more = ',"__proto__":{"scope":"admin","sub":"uk_other"},"constructor":{"name":"x"}';
    const caller = await verifierOf(issuer).verify(await issuer.token(seconds(), { more }));
    expect(caller).toMatchObject({ userKey: 'uk_ada', userId: 'Ada', sessionId: 's'.repeat(22) });
    expect([...caller.permissions]).toEqual(['orders:read']);
    expect(caller.may('orders:read')).toBe(true);
    expect(caller.may('admin')).toBe(false);
    expect(caller.may('constructor')).toBe(false);
    expect(Object.getPrototypeOf({})).toBe(Object.prototype);
    expect(({} as Record<string, unknown>)['scope']).toBeUndefined();
  });

  test('every other spelling of a good token is refused', async () => {
    const token = await issuer.token(seconds());
    const [header, claims, signature] = token.split('.') as [string, string, string];
    const verifier = verifierOf(issuer);
    expect(await outcomeOf(verifier, token)).toBe('accepted');
    const last = signature.at(-1)!;
    const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const spare = signature.slice(0, -1) + digits[digits.indexOf(last) + 1];
    const other = [
      `${token}=`,
      `${token}==`,
      `${token}.`,
      `.${token}`,
      ` ${token}`,
      `${token}\n`,
      `${header}.${claims}.`,
      `${header}.${claims}`,
      `${header}=.${claims}.${signature}`,
      `${header}.${claims}=.${signature}`,
      `${header}.${claims}.${spare}`,
      `${header}.${claims}.${signature.slice(0, -2)}`,
      `${header}..${signature}`,
      `${header}.${claims}.${signature}.`,
      token.replace('.', '..'),
      [...token].join('\0'),
      'x'.repeat(8193),
      '',
      'gbr_' + '0'.repeat(77),
    ];
    for (const each of other) expect(await outcomeOf(verifier, each), each).toBe('token_refused');
    for (const each of [undefined, null, 7, {}, [token], { toString: () => token }]) {
      expect(await outcomeOf(verifier, each)).toBe('token_refused');
    }
    const json = JSON.stringify({ protected: header, payload: claims, signature });
    expect(await outcomeOf(verifier, json)).toBe('token_refused');
  });

  test('a token of another key with the same kid is refused', async () => {
    const thief = await Issuer.make();
    const token = await thief.token(seconds(), { header: { kid: issuer.kid } });
    expect(await outcomeOf(verifierOf(issuer), token)).toBe('token_refused');
  });

  test('keys that are no keys for access tokens are passed over', async () => {
    const other = await Issuer.make();
    const [jwk] = other.jwks;
    for (const wrong of [{ ...jwk, use: 'enc' }, { ...jwk, kid: 'mine' }, { ...jwk, alg: 'RS256' }, { ...jwk, kty: '__proto__' }, null, 7, []]) {
      other.jwks.splice(0, 1, wrong as never);
      expect(await outcomeOf(verifierOf(other), await other.token(seconds()))).toBe('verifier_not_ready');
    }
  });
});

describe('keys', () => {
  test('are fetched once for all who come first', async () => {
    const issuer = await Issuer.make();
    const verifier = verifierOf(issuer);
    const token = await issuer.token(seconds());
    const found = await Promise.all(Array.from({ length: 100 }, () => outcomeOf(verifier, token)));
    expect(new Set(found)).toEqual(new Set(['accepted']));
    expect(issuer.fetches).toBe(1);
  });

  test('are fetched at most once in 30 s because of unknown ones', async () => {
    const issuer = await Issuer.make();
    const verifier = verifierOf(issuer);
    await verifier.verify(await issuer.token(seconds()));
    const now = performance.now.bind(performance);
    vi.spyOn(performance, 'now').mockImplementation(() => now() + 31_000);
    const strangers = await Promise.all([Issuer.make(), Issuer.make(), Issuer.make()]);
    for (let turn = 0; turn < 5; turn++) {
      for (const stranger of strangers) {
        expect(await outcomeOf(verifier, await stranger.token(seconds()))).toBe('token_refused');
      }
    }
    expect(issuer.fetches).toBe(2);
    // One that came meanwhile is found once it may be looked for.
    issuer.jwks.push(...strangers[0]!.jwks);
    vi.spyOn(performance, 'now').mockImplementation(() => now() + 62_000);
    expect(await outcomeOf(verifier, await strangers[0]!.token(seconds()))).toBe('accepted');
  });

  test('are used for a while past their age when none can be had', async () => {
    const issuer = await Issuer.make();
    issuer.maxAge = 10;
    const verifier = verifierOf(issuer, { staleIfError: 100 });
    const token = await issuer.token(seconds());
    await verifier.verify(token);
    issuer.broken = () => new Response('', { status: 503 });
    const now = performance.now.bind(performance);
    const at = (later: number): void => void vi.spyOn(performance, 'now').mockImplementation(() => now() + later * 1000);
    at(109);
    expect(await outcomeOf(verifier, token)).toBe('accepted');
    at(111);
    expect(await outcomeOf(verifier, token)).toBe('verifier_not_ready');
    issuer.broken = undefined;
    at(120);
    expect(await outcomeOf(verifier, token)).toBe('accepted');
  });
});

describe('revocations', () => {
  test.each(['3600', '9999999', '9'.repeat(40), new Date(Date.now() + 3_600_000).toUTCString()])(
    'are asked for again after 3 s, however late the issuer says (%s), and not after close()',
    async (retryAfter) => {
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
      try {
        const issuer = await Issuer.make();
        let asked = 0;
        const away: typeof fetch = async (input, init) => {
          if (!`${input as string}`.includes('stream')) return issuer.fetch(input, init);
          asked++;
          return new Response('', { status: 503, headers: { 'retry-after': retryAfter } });
        };
        const verifier = verifierOf(issuer, { revocations: true, fetch: away });
        verifier.start();
        await vi.advanceTimersByTimeAsync(2990);
        expect(asked).toBe(1);
        await vi.advanceTimersByTimeAsync(20);
        expect(asked).toBe(2);
        verifier.close();
        await vi.advanceTimersByTimeAsync(0);
        expect(vi.getTimerCount()).toBe(0);
      } finally {
        vi.useRealTimers();
      }
    },
  );

  test('are heard of, and outlive a broken stream', async () => {
    const issuer = await Issuer.make();
    const verifier = verifierOf(issuer, { revocations: true });
    const token = await issuer.token(seconds());
    expect(await outcomeOf(verifier, token)).toBe('accepted');
    issuer.revoke({ session_id: 's'.repeat(22) });
    await vi.waitFor(async () => expect(await outcomeOf(verifier, token)).toBe('session_ended'));
    expect(verifier.state()).toMatchObject({ ready: true, revocations: 1 });
  });

  test.each(table.revocations)('as all clients remember them: $name', async ({ steps }) => {
    vi.useFakeTimers({ toFake: ['Date', 'performance', 'setTimeout', 'clearTimeout'] });
    try {
      const issuer = await Issuer.make();
      issuer.maxAge = 3600;
      const verifier = verifierOf(issuer, { revocations: true });
      expect(await outcomeOf(verifier, await issuer.token(seconds()))).toBe('accepted');
      for (const { keys_away, ends_s, withdrawn_s, wait_s = 0, issuer_off_s, outcome } of steps) {
        if (keys_away) issuer.broken = () => new Response('', { status: 503 });
        if (ends_s) issuer.revoke({ session_id: 's'.repeat(22) }, ends_s);
        if (withdrawn_s) issuer.revoke({ kid: issuer.kid }, withdrawn_s);
        issuer.off = issuer_off_s ?? issuer.off;
        for (let second = 0; second < wait_s; second++) {
          await vi.advanceTimersByTimeAsync(1000);
          issuer.head();
        }
        await vi.advanceTimersByTimeAsync(0);
        if (outcome) expect(await outcomeOf(verifier, await issuer.token(seconds()))).toBe(outcome);
      }
    } finally {
      vi.useRealTimers();
    }
  });

  test('of a key refuse what it signed, and fetch the keys again', async () => {
    const issuer = await Issuer.make();
    const verifier = verifierOf(issuer, { revocations: true });
    const token = await issuer.token(seconds());
    expect(await outcomeOf(verifier, token)).toBe('accepted');
    issuer.revoke({ kid: issuer.kid });
    await vi.waitFor(async () => expect(await outcomeOf(verifier, token)).toBe('session_ended'));
    expect(issuer.fetches).toBe(2);
  });

  test.each([
    ['closed', 'verifier_not_ready'],
    ['open', 'accepted'],
  ] as const)('that are unknown fail %s', async (onStale, outcome) => {
    const issuer = await Issuer.make();
    const deaf: typeof fetch = (input, init) =>
      `${input as string}`.includes('stream') ? Promise.reject(new TypeError('fetch failed')) : issuer.fetch(input, init);
    const verifier = verifierOf(issuer, { revocations: true, onStale, patience: 0.05, fetch: deaf });
    expect(await outcomeOf(verifier, await issuer.token(seconds()))).toBe(outcome);
    expect(verifier.staleness).toBe(Infinity);
    expect(verifier.state().ready).toBe(onStale === 'open');
  });

  test('of another log void what was known, and keys are fetched again', async () => {
    const issuer = await Issuer.make();
    const verifier = verifierOf(issuer, { revocations: true, onStale: 'open' });
    const token = await issuer.token(seconds());
    expect(await outcomeOf(verifier, token)).toBe('accepted');
    issuer.logId = 'log2';
    issuer.head();
    await vi.waitFor(() => expect(issuer.fetches).toBe(2));
    await vi.waitFor(async () => expect(await outcomeOf(verifier, token)).toBe('accepted'));
  });

  test('one waiter who gives up takes nothing from the others', async () => {
    const issuer = await Issuer.make();
    const verifier = verifierOf(issuer);
    const token = await issuer.token(seconds());
    const giving = new AbortController();
    const first = verifier.verify(token, { signal: giving.signal });
    const second = verifier.verify(token);
    giving.abort();
    await expect(first).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }));
    await expect(second).resolves.toMatchObject({ userKey: 'uk_ada' });
    expect(issuer.fetches).toBe(1);
  });
});

describe('against a service that runs', () => {
  const service = serviceAt(inject('service'));
  let user_key: string;
  beforeAll(async () => {
    user_key = await service.register();
  });

  // In less than a second 99 times of 100: that is measured by `./run prove client_javascript`.
  test('the end of a session is heard of', async () => {
    const verifier = createVerifier({ issuer: service.url });
    made.push(verifier);
    for (let turn = 0; turn < 5; turn++) {
      const { access_token, refresh_token } = await service.authenticate(user_key);
      expect((await verifier.verify(access_token)).userKey).toBe(user_key);
      await service.post('/revoke', { refresh_token });
      while ((await outcomeOf(verifier, access_token)) !== 'session_ended') {
        await new Promise((done) => setTimeout(done, 2));
      }
    }
    expect(verifier.staleness).toBeLessThan(Infinity);
  });

  test('security rule 14: a refresh token is no access token', async () => {
    const verifier = createVerifier({ issuer: service.url, revocations: false });
    const { refresh_token } = await service.authenticate(user_key);
    expect(await outcomeOf(verifier, refresh_token)).toBe('token_refused');
  });
});

test.each([
  [undefined, undefined],
  [null, undefined],
  ['Bearer abc', 'abc'],
  ['bearer  abc ', 'abc'],
])('the token of %j is %j', (header, token) => {
  expect(bearer(header)).toBe(token);
});

test.each(['Basic abc', 'Bearer', 'Bearer a b', 'Bearerabc'])('%j has none', (header) => {
  expect(() => bearer(header)).toThrow(expect.objectContaining({ code: 'token_refused' }));
});

test.each([
  { issuer: '' },
  { leeway: 61 },
  { leeway: NaN },
  { maxStaleness: NaN },
  { maxStaleness: -1 },
  { staleIfError: NaN },
  { staleIfError: -1 },
  { patience: NaN },
  { patience: -1 },
  { patience: Infinity },
  { onStale: 'never' },
  { issuer: 'http://auth.example' },
])('%o is no verifier', (options) => {
  expect(() => createVerifier({ issuer: ISSUER, ...(options as object) })).toThrow(
    expect.objectContaining({ code: 'configuration' }),
  );
});

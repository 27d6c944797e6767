/**
 * The issuer's keys: fetched once for all who wait, renewed beside the work, kept when it is away.
 *
 * Each is bound to the one algorithm and the one header that its tokens have. Knows no token.
 */

import { calculateJwkThumbprint, importJWK, type CryptoKey, type JWK } from 'jose';

import { GatebookError } from '../errors.js';
import { abortable, refusal as refusedWith, unexpected, type Fetch } from '../wire.js';
import { encode } from './token.js';

export interface PublicKey {
  readonly kid: string;
  readonly algorithm: string;
  /** The first segment of each token that is signed by it. */
  readonly header: string;
  readonly key: CryptoKey;
}

export interface KeySet {
  readonly byHeader: ReadonlyMap<string, PublicKey>;
  readonly byKid: ReadonlyMap<string, PublicKey>;
  readonly etag: string | null;
  /** When it was asked for (monotonic), and for how long it is fresh; ms. */
  readonly at: number;
  readonly age: number;
}

export interface Ring {
  /** What can be used; waits for it only when there is nothing. */
  current(): Promise<KeySet>;
  /** Newer keys than those that lack one; undefined when none are to be had now. */
  afterUnknown(): Promise<KeySet | undefined>;
  /** Fetch them again, beside the work. */
  renew(): void;
  /** Forget them: none is good until they have been fetched again. */
  drop(): void;
  /** Seconds since they were fetched; undefined when there are none. */
  age(): number | undefined;
}

const PATH = '/.well-known/jwks.json';
/** Milliseconds between two fetches that tokens of unknown keys can bring about. */
const UNKNOWN_KEY_EVERY = 30_000;
const AFTER_A_FAILURE = 5000;
const TIMEOUT = 5000;
/** Of their age, when newer ones are fetched beside the work. */
const RENEW_AT = 0.8;
const NO_AGE = 300;

export function keys(wire: { readonly url: string; readonly fetch: Fetch }, staleIfError: number): Ring {
  let known: KeySet | undefined;
  let flight: Promise<KeySet> | undefined;
  let askedAt = -Infinity;
  /** When the last fetch failed, and why, until one doesn't. */
  let failedAt: number | undefined;
  let failure: unknown;
  /** How often what was known had to be forgotten. */
  let dropped = 0;

  const missing = (): GatebookError =>
    new GatebookError('verifier_not_ready', `The keys of ${wire.url} can't be had, or are too old.`, {
      retryAfter: AFTER_A_FAILURE / 1000,
      cause: failure,
    });

  const join = (): Promise<KeySet> =>
    (flight ??= fetched().finally(() => {
      flight = undefined;
    }));

  async function fetched(): Promise<KeySet> {
    for (;;) {
      const before = dropped;
      try {
        const found = await ask(known);
        // What was asked for before it had to be forgotten may be what is forgotten.
        if (before !== dropped) continue;
        known = found;
        failedAt = failure = undefined;
        return found;
      } catch (error) {
        failure = error;
        failedAt = performance.now();
        throw missing();
      }
    }
  }

  async function ask(before: KeySet | undefined): Promise<KeySet> {
    const at = (askedAt = performance.now());
    const limit = AbortSignal.timeout(TIMEOUT);
    const answer = await wire.fetch(wire.url + PATH, {
      headers: before?.etag ? { 'if-none-match': before.etag } : {},
      signal: limit,
      cache: 'no-store',
      credentials: 'omit',
      redirect: 'error',
    });
    const text = await abortable(answer.text(), limit);
    const age = ageOf(answer.headers.get('cache-control'));
    if (answer.status === 304 && before) return { ...before, at, age };
    if (!answer.ok) throw refusedWith(answer, text);
    const found = await publicKeys(text);
    if (!found.length) throw unexpected(answer.status);
    return {
      byHeader: new Map(found.map((key) => [key.header, key])),
      byKid: new Map(found.map((key) => [key.kid, key])),
      etag: answer.headers.get('etag'),
      at,
      age,
    };
  }

  /** What may be used although nothing newer could be had. */
  function kept(): KeySet {
    if (!known || performance.now() - known.at > known.age + staleIfError) throw missing();
    return known;
  }

  return {
    async current() {
      const now = performance.now();
      const failing = failedAt !== undefined;
      const mayAsk = !failing || now - failedAt! > AFTER_A_FAILURE;
      if (!known) {
        if (!mayAsk) throw missing();
        return join();
      }
      const age = now - known.at;
      if (age > known.age * RENEW_AT && mayAsk) {
        const flying = join();
        // Whoever waits for it sees how it fails; nobody has to.
        flying.catch(() => {});
        if (age > known.age + (failing ? staleIfError : 0)) return flying.catch(kept);
      }
      return kept();
    },
    async afterUnknown() {
      if (performance.now() - askedAt < UNKNOWN_KEY_EVERY) return flight?.catch(kept);
      askedAt = performance.now();
      return join().catch(kept);
    },
    renew: () => void join().catch(() => {}),
    drop() {
      dropped++;
      known = failedAt = undefined;
      join().catch(() => {});
    },
    age: () => known && (performance.now() - known.at) / 1000,
  };
}

function ageOf(cacheControl: string | null): number {
  const found = /(?:^|[\s,])max-age=(\d{1,9})/.exec(cacheControl ?? '');
  return Math.min(Math.max(found ? Number(found[1]) : NO_AGE, 1), 3600) * 1000;
}

/** Those of a key set (RFC 7517) that access tokens are signed with. */
async function publicKeys(text: string): Promise<PublicKey[]> {
  let jwks: { keys?: unknown };
  try {
    jwks = JSON.parse(text);
  } catch {
    throw unexpected(200);
  }
  const list: unknown[] = Array.isArray(jwks?.keys) ? jwks.keys : [];
  return (await Promise.all(list.map(publicKey))).filter((key) => key !== undefined);
}

async function publicKey(given: unknown): Promise<PublicKey | undefined> {
  const { kty, crv, x, y, n, e, alg, kid, use = 'sig' } = (given ?? {}) as JWK;
  // Made of these members alone: whatever else the key set says plays no part.
  const jwks: Record<string, JWK> = {
    'ES256 EC P-256': { kty: 'EC', crv: 'P-256', x: x!, y: y! },
    'EdDSA OKP Ed25519': { kty: 'OKP', crv: 'Ed25519', x: x! },
    'RS256 RSA undefined': { kty: 'RSA', n: n!, e: e! },
  };
  const name = `${alg} ${kty} ${crv}`;
  if (!Object.hasOwn(jwks, name) || use !== 'sig' || !alg || !kid) return undefined;
  const jwk = jwks[name]!;
  try {
    if ((await calculateJwkThumbprint(jwk)) !== kid) return undefined;
    const key = (await importJWK(jwk, alg)) as CryptoKey;
    const { modulusLength, publicExponent } = key.algorithm as { modulusLength?: number; publicExponent?: Uint8Array };
    if (modulusLength !== undefined && (modulusLength < 2048 || modulusLength > 8192)) return undefined;
    // With an exponent of 1 whatever is signed is its own signature.
    if (publicExponent && publicExponent.reduce((number, byte) => number * 256 + byte, 0) < 3) return undefined;
    return { kid, algorithm: alg, header: encode(JSON.stringify({ alg, typ: 'at+jwt', kid })), key };
  } catch {
    return undefined;
  }
}

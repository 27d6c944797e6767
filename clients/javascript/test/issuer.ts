/** A stand-in for an issuer: signs what it is told to, publishes its keys, tells what was revoked. */

import { calculateJwkThumbprint, exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from 'jose';

import type { Fetch } from '../src/verify/index.js';

export const ISSUER = 'https://auth.example';

/** Another claim is the value; null takes it away. `more` goes before the last brace. */
export interface Changes {
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly more?: string;
  readonly header?: Readonly<Record<string, unknown>>;
}

const MOMENTS = ['iat', 'exp', 'auth_time'];

const base64url = (data: string | Uint8Array): string => Buffer.from(data as string).toString('base64url');

/** Without the members that are null. */
const kept = (members: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(members).filter(([, value]) => value !== null));

export class Issuer {
  fetches = 0;
  /** What the key set's requests are answered with instead. */
  broken: (() => Promise<Response> | Response) | undefined;
  maxAge: number = 300;
  logId: string = 'log1';
  /** Seconds by which the clock that its heads tell is off. */
  off: number = 0;
  #head = 1;
  readonly #streams = new Set<ReadableStreamDefaultController<Uint8Array>>();
  readonly #told: string[] = [];

  private constructor(
    readonly algorithm: string,
    readonly key: CryptoKey,
    readonly kid: string,
    readonly jwks: JWK[],
  ) {}

  static async make(algorithm: string = 'ES256'): Promise<Issuer> {
    const { publicKey, privateKey } = await generateKeyPair(algorithm, { extractable: true, modulusLength: 3072 });
    const jwk = await exportJWK(publicKey);
    const kid = await calculateJwkThumbprint(jwk);
    return new Issuer(algorithm, privateKey, kid, [{ ...jwk, alg: algorithm, use: 'sig', kid }]);
  }

  /** A token made at `iat` (s since the epoch), of an hour, but for these changes. */
  async token(iat: number, { claims = {}, more = '', header = {} }: Changes = {}): Promise<string> {
    const moved = Object.fromEntries(
      Object.entries(claims).map(([name, value]) =>
        MOMENTS.includes(name) && typeof value === 'number' ? [name, iat + value] : [name, value],
      ),
    );
    const text = JSON.stringify(
      kept({
        iss: ISSUER,
        sub: 'uk_ada',
        aud: ISSUER,
        iat,
        exp: iat + 3600,
        jti: 'j'.repeat(22),
        client_id: 'uk_ada',
        sid: 's'.repeat(22),
        user_id: 'Ada',
        auth_time: iat,
        scope: 'orders:read',
        ...moved,
      }),
    );
    const head = JSON.stringify(kept({ alg: this.algorithm, typ: 'at+jwt', kid: this.kid, ...header }));
    const data = `${base64url(head)}.${base64url(`${text.slice(0, -1)}${more}}`)}`;
    return `${data}.${base64url(await this.#sign(data))}`;
  }

  /** The session's end, or a key's withdrawal, which is told to last for so many seconds. */
  revoke(what: { session_id: string } | { kid: string }, lasts: number = 3660): void {
    const until = new Date(Date.now() + lasts * 1000).toISOString();
    this.#head++;
    this.#say(`id: ${this.logId}:${this.#head}\r\nevent: revocation\r\ndata: ${JSON.stringify({ position: this.#head, ...what, until })}\r\n\r\n`);
    this.head();
  }

  head(): void {
    const time = new Date(Date.now() + this.off * 1000).toISOString();
    const told = { log_id: this.logId, position: this.#head, time };
    for (const stream of this.#streams) stream.enqueue(new TextEncoder().encode(`event: head\r\ndata: ${JSON.stringify(told)}\r\n\r\n`));
  }

  readonly fetch: Fetch = async (input, init) => {
    const path = new URL(input instanceof Request ? input.url : input).pathname;
    init?.signal?.throwIfAborted();
    if (path === '/.well-known/jwks.json') {
      this.fetches++;
      if (this.broken) return this.broken();
      return Response.json({ keys: this.jwks }, { headers: { 'cache-control': `public, max-age=${this.maxAge}` } });
    }
    if (path !== '/revocations/stream') return new Response(null, { status: 404 });
    let mine: ReadableStreamDefaultController<Uint8Array> | undefined;
    const body = new ReadableStream<Uint8Array>({
      start: (stream) => {
        mine = stream;
        this.#streams.add(stream);
        // Of this log, who comes again is told what is after its place; the first position is 2.
        const [log, place = 1] = new Headers(init?.headers).get('last-event-id')?.split(':') ?? [];
        const known = log === this.logId ? Number(place) - 1 : 0;
        for (const each of this.#told.slice(known)) stream.enqueue(new TextEncoder().encode(each));
        this.head();
      },
      cancel: () => void this.#streams.delete(mine!),
    });
    init?.signal?.addEventListener('abort', () => {
      if (this.#streams.delete(mine!)) mine!.error(init.signal!.reason);
    });
    return new Response(body, { headers: { 'content-type': 'text/event-stream' } });
  };

  #say(event: string): void {
    this.#told.push(event);
    for (const stream of this.#streams) stream.enqueue(new TextEncoder().encode(event));
  }

  async #sign(data: string): Promise<Uint8Array> {
    const algorithms: Record<string, AlgorithmIdentifier | EcdsaParams> = {
      ES256: { name: 'ECDSA', hash: 'SHA-256' },
      EdDSA: { name: 'Ed25519' },
      RS256: { name: 'RSASSA-PKCS1-v1_5' },
    };
    const signature = await crypto.subtle.sign(algorithms[this.algorithm]!, this.key, new TextEncoder().encode(data));
    return new Uint8Array(signature);
  }
}

/** By the library's own hand, for what it would write. */
export const signedByJose = (issuer: Issuer, claims: Record<string, unknown>): Promise<string> =>
  new SignJWT(claims).setProtectedHeader({ alg: issuer.algorithm, typ: 'at+jwt', kid: issuer.kid }).sign(issuer.key);

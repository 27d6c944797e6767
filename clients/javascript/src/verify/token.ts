/**
 * What an access token must be, to the byte: as the service writes it, and nothing else.
 *
 * Knows no service, and not which sessions were revoked.
 */

import { compactVerify } from 'jose';

import { GatebookError } from '../errors.js';
import type { PublicKey } from './keys.js';

/** Who a token is of. */
export interface Caller {
  /** Store this one, never `userId`: a name can be given up and taken by somebody else. */
  readonly userKey: string;
  readonly userId: string;
  readonly sessionId: string;
  readonly permissions: ReadonlySet<string>;
  /** Times in seconds since the epoch. */
  readonly issuedAt: number;
  readonly expiresAt: number;
  readonly authenticatedAt: number;
  readonly tokenId: string;
  /** Whether the token says that its user may; `admin` implies all. */
  may(permission: string): boolean;
}

/** A token taken apart; nothing in it is proved yet. */
export interface Form {
  readonly token: string;
  /** The segment as it stands there. */
  readonly header: string;
  readonly claims: Uint8Array;
}

export interface Wanted {
  readonly issuer: string;
  readonly audience: string;
  readonly leeway: number;
}

const MAX_LENGTH = 8 * 1024;
const MAX_LIFE = 3600;
/** Seconds by which the clock of whoever signs may be ahead. */
const AHEAD = 60;
const TEXTS = ['iss', 'sub', 'aud', 'jti', 'client_id', 'sid', 'user_id', 'scope'];
const MOMENTS = ['iat', 'exp', 'auth_time'];

/** The parts of a token in compact form. */
export function takeApart(token: unknown): Form {
  if (typeof token !== 'string' || token.length > MAX_LENGTH) throw refusal();
  const parts = token.split('.');
  const [header, claims, signature] = parts;
  if (parts.length !== 3 || !header || !claims || !signature) throw refusal();
  decode(signature);
  return { token, header, claims: decode(claims) };
}

/** The key that a token names, if its header may be one; read only where no key has it. */
export function kidOf(form: Form): string | undefined {
  try {
    const header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(decode(form.header)));
    const { alg, typ, kid } = header;
    const known = ['ES256', 'EdDSA', 'RS256'].includes(alg) && typ === 'at+jwt' && typeof kid === 'string';
    return known && Object.keys(header).length === 3 ? kid : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Who the token is of. The header was found to be the key's, byte for byte.
 *
 * Claims are read after the signature was found right, never before, and spelled as the service
 * spells them: without white space, repeated members or needless escapes, with numbers that are
 * whole and below 2^53. Claims that aren't known are passed over.
 */
export async function check(form: Form, key: PublicKey, wanted: Wanted): Promise<Caller> {
  try {
    await compactVerify(form.token, key.key, { algorithms: [key.algorithm] });
  } catch {
    throw refusal();
  }
  const claims = read(form.claims);
  const now = Date.now() / 1000;
  const latest = now + AHEAD;
  const text = (name: string): string => claims.get(name) as string;
  const moment = (name: string): number => claims.get(name) as number;
  const [iat, exp, authTime, sub, scope] = [moment('iat'), moment('exp'), moment('auth_time'), text('sub'), text('scope')];
  const nbf = claims.get('nbf');
  if (
    text('iss') !== wanted.issuer ||
    text('aud') !== wanted.audience ||
    text('client_id') !== sub ||
    !sub ||
    text('sid').length !== 22 ||
    text('jti').length !== 22 ||
    !(exp > iat && exp - iat <= MAX_LIFE) ||
    iat > latest ||
    authTime > latest ||
    (claims.has('nbf') && !(isMoment(nbf) && nbf <= latest))
  ) {
    throw refusal();
  }
  if (now >= exp + wanted.leeway) {
    throw new GatebookError('token_expired', 'The access token has expired. Refresh it.');
  }
  const permissions: ReadonlySet<string> = new Set(scope ? scope.split(' ') : []);
  return {
    userKey: sub,
    userId: text('user_id'),
    sessionId: text('sid'),
    permissions,
    issuedAt: iat,
    expiresAt: exp,
    authenticatedAt: authTime,
    tokenId: text('jti'),
    may: (permission) => permissions.has(permission) || permissions.has('admin'),
  };
}

/** The token of an `Authorization` header (RFC 6750 §2.1); undefined when there is none. */
export function bearer(authorization: string | null | undefined): string | undefined {
  if (!authorization) return undefined;
  const found = /^bearer +([^ ]+) *$/i.exec(authorization);
  if (!found) throw new GatebookError('token_refused', 'The Authorization header has no bearer token.');
  return found[1];
}

/** One for every token that isn't genuine: what is wrong is nobody's business. */
export const refusal = (): GatebookError =>
  new GatebookError('token_refused', 'The access token is not accepted.');

/** A map, so that no name means anything but what the token says of it. */
function read(bytes: Uint8Array): ReadonlyMap<string, unknown> {
  let claims: ReadonlyMap<string, unknown>;
  try {
    const spelled = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
      .decode(bytes)
      // Names that are numbers would lose their place: between quotes nothing else stands before a colon.
      .replace(/"(?=\d+":)/g, '"#');
    const found: unknown = JSON.parse(spelled, whole);
    if (HALF.test(spelled) || JSON.stringify(found) !== spelled || typeof found !== 'object' || !found || Array.isArray(found)) {
      throw refusal();
    }
    claims = new Map(Object.entries(found));
  } catch {
    throw refusal();
  }
  if (!TEXTS.every((name) => typeof claims.get(name) === 'string')) throw refusal();
  if (!MOMENTS.every((name) => isMoment(claims.get(name)))) throw refusal();
  return claims;
}

/** Half of a character, which is escaped even where nothing else has to be. */
const HALF = /(?<!\\)(?:\\\\)*\\ud/;

/** Refuses numbers that aren't whole, or are so large that not every reader takes them for the same. */
function whole(_name: string, value: unknown): unknown {
  if (typeof value === 'number' && !Number.isSafeInteger(value)) throw refusal();
  return value;
}

const isMoment = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/**
 * The bytes of the one text that base64url without padding writes for them; refuses any other, so
 * padding, foreign characters and set trailing bits.
 */
export function decode(text: string): Uint8Array<ArrayBuffer> {
  if (!/^[A-Za-z0-9_-]+$/.test(text) || text.length % 4 === 1) throw refusal();
  const spare = (text.length * 6) % 8;
  if (ALPHABET.indexOf(text.at(-1)!) & ((1 << spare) - 1)) throw refusal();
  const plain = atob(text.replace(/-/g, '+').replace(/_/g, '/'));
  return Uint8Array.from(plain, (each) => each.charCodeAt(0));
}

/** base64url without padding (RFC 7515 §2). */
export function encode(text: string): string {
  return btoa(text).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
}

/**
 * The tokens that a program holds, and what it may read from them without a key.
 *
 * What stands in an access token is believed for planning alone: who calls is a verifier's to say.
 */

import { unexpected } from './wire.js';

/** An access token's times, in seconds since the epoch of the service's clock, and its session and user. */
export interface Times {
  readonly iat: number;
  readonly exp: number;
  readonly sid: string;
  readonly sub: string;
}

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

export function readTimes(accessToken: unknown): Times {
  try {
    const payload = (accessToken as string).split('.')[1]!.replace(/-/g, '+').replace(/_/g, '/');
    const { iat, exp, sid, sub } = JSON.parse(atob(payload)) as Times;
    // Beyond ASCII the text is bytes here; nothing of that kind is in these four.
    if (Number.isFinite(iat) && Number.isFinite(exp) && exp > iat) return { iat, exp, sid: `${sid}`, sub: `${sub}` };
  } catch {
    // told below
  }
  throw unexpected(200);
}

const wellFormed = (token: string): boolean => /^gbr_[0-9A-Za-z]{77}$/.test(token);

/** The session of a refresh token; the empty text when it is none of Gatebook's. */
export const sessionOf = (token = ''): string => (wellFormed(token) ? token.slice(4, 26) : '');

/** How often it was rotated, from 1; 0 when it is none of Gatebook's. */
export const generationOf = (token: string): number =>
  wellFormed(token) ? [...token.slice(26, 32)].reduce((sum, each) => sum * 62 + DIGITS.indexOf(each), 0) : 0;

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

export function readTimes(accessToken: unknown): Times {
  try {
    const payload = (accessToken as string).split('.')[1]!.replace(/-/g, '+').replace(/_/g, '/');
    const { iat, exp, sid, sub } = JSON.parse(atob(payload)) as Times;
    // Beyond ASCII the text is bytes here; nothing of that kind is in these four.
    if (Number.isFinite(iat) && Number.isFinite(exp) && exp > iat) return { iat, exp, sid, sub };
  } catch {
    // told below
  }
  throw unexpected(200);
}

/**
 * The session of a refresh token; the empty text when it is none of Gatebook's.
 *
 * What follows is how often it was rotated, in digits that sort as they count.
 */
export const sessionOf = (token = ''): string => /^gbr_([^\W_]{22})[^\W_]{55}$/.exec(token)?.[1] ?? '';

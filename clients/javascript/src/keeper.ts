/**
 * Keeps one user's tokens good: renews them in good time, once for all who need them.
 *
 * Knows nothing of the requests that the tokens are for. It has no timers: whoever needs a token
 * brings about its renewal.
 */

import { GatebookError, passing, type Problem } from './errors.js';
import type { Kept, Locked, Store } from './store.js';
import { readTimes, sessionOf, type Times } from './tokens.js';
import { abortable, ask, insist, unexpected, type Wire } from './wire.js';

/** A key and its secret, a refresh token of a session that was begun elsewhere, or both. */
export interface Credentials {
  readonly user_key?: string | undefined;
  readonly user_secret?: string | undefined;
  readonly refresh_token?: string | undefined;
}

/** Credentials, or who is asked for them when a session has to be begun. */
export type Given = Credentials | (() => Credentials | undefined | Promise<Credentials | undefined>);

/** How it stands with the session; never a token. */
export interface Change {
  readonly state: 'signed_in' | 'signed_out';
  readonly session_id?: string;
  /** Of the access token, by the service's clock. */
  readonly expires_at?: Date;
}

export interface Held extends Kept {
  readonly access_token: string;
  readonly times: Times;
  /** When it was got, on both clocks of the program, in ms; and its remaining life then, in ms. */
  readonly got: number;
  readonly gotWall: number;
  readonly life: number;
}

interface Tokens {
  readonly access_token: string;
  readonly refresh_token?: string;
}

/** Milliseconds before its end at which a token is renewed; at most a fifth of its life. */
const MARGIN = 60_000;
/** Milliseconds for which what was refused isn't tried again; twice as long each time. */
const HOLD = 30_000;
const LONGEST_HOLD = 900_000;

/** Milliseconds since it was got: a clock that was set, or one that slept, makes it only older. */
const age = (held: Held): number => Math.max(performance.now() - held.got, Date.now() - held.gotWall);
const margin = (held: Held): number => Math.min(MARGIN, ((held.times.exp - held.times.iat) * 1000) / 5);
const isOld = (held: Held): boolean => age(held) >= held.life - margin(held);
/** In the last part of the margin it isn't sent any more: it has to arrive, too. */
const isOver = (held: Held): boolean => age(held) >= held.life - margin(held) / 4;

/** What keeps the tokens; it hides behind these. */
export interface Keeper {
  /** What can be used; waits for it if need be. What is getting old is renewed meanwhile. */
  good(signal?: AbortSignal | null): Promise<Held>;
  /** What to try after this was refused; undefined when another one would be refused as well. */
  insteadOf(held: Held, signal?: AbortSignal | null): Promise<Held | undefined>;
  /** End the session at the service, and hold nothing any more, here and in the store. */
  signOut(signal?: AbortSignal): Promise<void>;
  onChange(listener: (change: Change) => void): () => void;
  /** Hear nothing of others any more. */
  close(): void;
}

export function keep(wire: Wire, credentials: Given | undefined, store: Store, rotate: boolean): Keeper {
  const listeners = new Set<(change: Change) => void>();
  let before: Promise<unknown> = Promise.resolve();
  /** One after another: renewals and sign-outs, of all who share the store. */
  const alone: Locked =
    store.locked ?? ((work) => (before = before.catch(() => {}).then(() => work(() => {}))) as ReturnType<typeof work>);
  let held: Held | undefined;
  /** Whether the store had tokens of this user when it was last looked at. */
  let seen = false;
  /** How often it was signed out: what was begun before comes to nothing. */
  let signOuts = 0;
  /** The session that was signed out last: news of it may come late. */
  let ended: string | undefined;
  /** Refresh tokens of sessions that are to be ended at the service. */
  const ending = new Set<string>();
  let flight: Promise<Held> | undefined;
  /** The access token that was refused last, and the one that was got because of it. */
  let refused: string | undefined;
  let forced: string | undefined;
  /** Why nothing could be got, and until when (monotonic, ms) that isn't tried again. */
  let refusal: GatebookError | undefined;
  let againAt = 0;
  let hold = HOLD / 2;
  /** Refresh tokens that were refused. */
  const spent = new Set<string>();
  /** Wait no longer for somebody who is asked for credentials. */
  let wake = (): void => {};

  const heldOff = (): boolean | undefined => refusal && performance.now() < againAt;

  /** Those that were given, not those that are asked for. */
  const given = (): Credentials | undefined => (typeof credentials === 'function' ? undefined : credentials);

  /** One promise for all who wait; whoever gives up takes nothing from the others. */
  const join = (): Promise<Held> =>
    (flight ??= renew().finally(() => {
      flight = undefined;
    }));

  async function renew(): Promise<Held> {
    if (heldOff()) throw refusal;
    const since = signOuts;
    const going = (): void => {
      if (since !== signOuts) throw again();
    };
    const bad = refused;
    const usable = (found: Held | undefined): Held | undefined =>
      found && !isOld(found) && found.access_token !== bad ? found : undefined;
    let asked = given();
    if (asked) spent.clear();
    // The store is locked for one request at a time, never for a pause or while somebody types.
    const once = (): Promise<Held | undefined> =>
      insist(
        wire,
        async () =>
          usable(await look()) ??
          usable(held) ??
          alone(async (mine) => {
            const found = await look();
            const still = (): void => {
              mine();
              going();
            };
            still();
            // What was told may be newer than what this tab sees in its storage.
            return usable(found) ?? usable(held) ?? obtain(found, asked, still);
          }),
      );
    try {
      let found = await once();
      if (!found && typeof credentials === 'function') {
        asked = (await Promise.race([credentials(), new Promise<undefined>((done) => (wake = () => done(undefined)))])) ?? {};
        found = await once();
      }
      going();
      if (!found) throw again();
      refusal = undefined;
      hold = HOLD / 2;
      if (bad && held?.access_token === bad) forced = found.access_token;
      take(found);
      return found;
    } catch (error) {
      if (since === signOuts && error instanceof GatebookError) holdOff(error);
      throw error;
    }
  }

  /** Don't ask again what was just refused, however many wish it; but who mistyped may try again. */
  function holdOff(error: GatebookError): void {
    let wait = passing(error) ? (error.retryAfter ?? 0) * 1000 : 0;
    if (error.code === again().code) {
      if (typeof credentials !== 'function') {
        wait = hold = Math.min(hold * 2, LONGEST_HOLD);
      }
      take(undefined);
    }
    refusal = error;
    againAt = performance.now() + Math.min(wait, LONGEST_HOLD);
  }

  /** What can be had with these credentials; undefined when nobody has been asked for them yet. */
  async function obtain(found: Held | undefined, asked: Credentials | undefined, still: () => void): Promise<Held | undefined> {
    let problem: Problem | undefined;
    for (const token of refreshTokens(found, asked?.refresh_token)) {
      if (spent.has(token)) continue;
      try {
        return await got('/refresh', { refresh_token: token, ...(rotate && { rotate }) }, still, token);
      } catch (error) {
        problem = refusedWith(error);
        spent.add(token);
        // Where nothing keeps others out, one of them may have been first.
        const newer = await look();
        if (newer && newer.refresh_token !== token && !isOld(newer)) return newer;
      }
    }
    if (!asked && typeof credentials === 'function') return undefined;
    const { user_key, user_secret } = asked ?? {};
    try {
      if (user_key && user_secret) return await got('/authenticate', { user_key, user_secret }, still);
    } catch (error) {
      problem = refusedWith(error);
    }
    throw again(problem);
  }

  /** Those worth trying: the newest of the session that is known last, then the given one. */
  function refreshTokens(found: Kept | undefined, given: string | undefined): string[] {
    const all = [found?.refresh_token, held?.refresh_token, given].filter((each) => each !== undefined);
    const known = all.filter((each) => sessionOf(each) === sessionOf(all[0])).sort();
    return [...known.slice(-1), ...all.slice(-1).filter((each) => !known.includes(each))];
  }

  async function got(path: string, body: object, still: () => void, used?: string): Promise<Held> {
    still();
    const sent = performance.now();
    const sentWall = Date.now();
    const answer = await ask<Partial<Tokens> | undefined>(wire, { method: 'POST', path, body });
    const { access_token = '', refresh_token = used } = answer ?? {};
    const times = readTimes(access_token);
    if (typeof refresh_token !== 'string') throw unexpected(200);
    // It was made after it was asked for, and what it says of that is cut to whole seconds.
    const fresh = { access_token, refresh_token, ahead: times.iat + 1 - sentWall / 1000 };
    still();
    try {
      await store.write(fresh);
      seen = true;
    } catch (cause) {
      // The old one is good until the new one is used, which must not happen unless everybody
      // who shares them can know. A session of one's own may do without.
      if (used && refresh_token !== used) throw unkept(cause);
    }
    return { ...fresh, times, got: sent, gotWall: sentWall, life: (times.exp - times.iat - 1) * 1000 };
  }

  /** What the store has; that it was emptied is a sign-out by another who shares it. */
  async function look(): Promise<Held | undefined> {
    let kept: Kept | null;
    try {
      kept = await store.read();
    } catch (cause) {
      throw unkept(cause);
    }
    if (!kept && seen) signedOut();
    const found = read(kept);
    seen = !!found;
    return found;
  }

  /**
   * What is kept, as held; undefined when it is of a session that was signed out, or another
   * user's, who may have been here before.
   */
  function read(found: Kept | null): Held | undefined {
    const { access_token, refresh_token, ahead = 0 } = found ?? {};
    if (!access_token || access_token === held?.access_token) return access_token ? held : undefined;
    try {
      if (sessionOf(refresh_token) === ended) return undefined;
      const times = readTimes(access_token);
      const { user_key, refresh_token: mine } = given() ?? {};
      if (user_key ? user_key !== times.sub : mine && sessionOf(mine) !== sessionOf(refresh_token)) return undefined;
      const now = Date.now();
      const life = Math.min(times.exp - ahead - now / 1000, times.exp - times.iat) * 1000;
      return { ...found, access_token, times, got: performance.now(), gotWall: now, life };
    } catch {
      return undefined;
    }
  }

  function take(found: Held | undefined): void {
    const before = held?.access_token;
    held = found;
    if (before === found?.access_token) return;
    const change: Change = found
      ? { state: 'signed_in', session_id: found.times.sid, expires_at: new Date(found.times.exp * 1000) }
      : { state: 'signed_out' };
    // What a listener throws is the program's to hear of, and stops nothing here.
    for (const listener of listeners) queueMicrotask(() => listener(change));
  }

  /** Credentials that are asked for are asked for again; those that were given are used up. */
  function signedOut(last: Credentials | undefined = held): void {
    ended = sessionOf(last?.refresh_token) || ended;
    credentials = typeof credentials === 'function' ? credentials : undefined;
    refusal = undefined;
    seen = false;
    signOuts++;
    take(undefined);
    wake();
  }

  // What another tab keeps is held here, too.
  const deaf = store.hear?.((told) => {
    const found = read(told);
    if (!told) signedOut();
    if (!found) return;
    refusal = undefined;
    take(found);
    wake();
  });

  return {
    async good(signal) {
      signal?.throwIfAborted();
      const now = held;
      if (!now || isOver(now)) return abortable(join(), signal);
      if (isOld(now) && !heldOff()) join().catch(() => {});
      return now;
    },
    async insteadOf(than, signal) {
      if (held && held.access_token !== than.access_token && !isOld(held)) return held;
      const young = age(than) < Math.min(HOLD, than.life / 5);
      if (than.access_token === forced && young) return undefined;
      refused = than.access_token;
      return abortable(join(), signal);
    },
    async signOut(signal) {
      signal?.throwIfAborted();
      const forget = (last: Credentials | undefined = held ?? given()): void => {
        if (last?.refresh_token) ending.add(last.refresh_token);
        signedOut(last);
      };
      let failure: unknown;
      try {
        await abortable(
          alone(async () => {
            forget(await look());
            await store.write(null);
          }),
          signal,
        );
      } catch (error) {
        signal?.throwIfAborted();
        failure = unkept(error);
        forget();
      }
      for (const refresh_token of ending) {
        await insist(wire, () => ask(wire, { method: 'POST', path: '/revoke', body: { refresh_token } }, signal), signal);
        ending.delete(refresh_token);
      }
      if (failure) throw failure;
    },
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close: () => deaf?.(),
  };
}

const again = (problem?: Problem): GatebookError =>
  new GatebookError('reauthentication_required', 'Log in again.', { problem });

const unkept = (cause: unknown): GatebookError =>
  cause instanceof GatebookError
    ? cause
    : new GatebookError('store_unavailable', 'The store failed.', { cause });

/** The problem of a refusal; anything else is thrown on. */
function refusedWith(error: unknown): Problem | undefined {
  if (error instanceof GatebookError && /^invalid_(token|credentials)$/.test(error.code)) return error.problem;
  throw error;
}

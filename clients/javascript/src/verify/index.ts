/**
 * Who is calling, without asking the service about each request.
 *
 * Puts together keys, the form of tokens and revocations; knows no framework. Takes `jose`.
 */

import { GatebookError } from '../errors.js';
import { abortable, baseUrl, LONGEST, type Fetch } from '../wire.js';
import { follow, type Feed } from './feed.js';
import { keys, type KeySet, type PublicKey } from './keys.js';
import { check, kidOf, refusal, takeApart, type Caller, type Form } from './token.js';

export { GatebookError } from '../errors.js';
export type { ClientCode, Code, Details, Problem, ServiceCode } from '../errors.js';
export type { Fetch } from '../wire.js';
export { bearer } from './token.js';
export type { Caller } from './token.js';

/** What a verifier is made with; `issuer` alone is needed. */
export interface VerifierOptions {
  /** The only `iss`, and where keys and revocations are, unless `url` says otherwise. */
  readonly issuer: string;
  /** The only `aud`; the issuer unless given, as the service does it. */
  readonly audience?: string | undefined;
  /** Where the service is reached, if not at its issuer. */
  readonly url?: string | undefined;
  /** Seconds by which a token may be past its time, 0 to 60; 5. */
  readonly leeway?: number | undefined;
  /**
   * Follow the feed of revocations, so that the end of a session is known in less than a second;
   * true. Without it a token is good until its time is over.
   */
  readonly revocations?: boolean | undefined;
  /**
   * What to do when the newest word of the feed is older than `maxStaleness`: `closed`, the
   * default, rejects every token with `verifier_not_ready`, `open` goes on with what is known.
   */
  readonly onStale?: 'closed' | 'open' | undefined;
  /** Seconds; 10. */
  readonly maxStaleness?: number | undefined;
  /** Seconds past their age for which keys are used while none can be fetched; 3600. */
  readonly staleIfError?: number | undefined;
  /** Seconds for which the first tokens wait for keys and revocations; 5. */
  readonly patience?: number | undefined;
  /** Stands in for the network's. */
  readonly fetch?: Fetch | undefined;
  /** Fetch keys over plain http from other machines, too. */
  readonly allowHttp?: boolean | undefined;
}

/** How a verifier is, for a health check or a metric. Times are in seconds. */
export interface VerifierState {
  readonly ready: boolean;
  readonly keysAge: number | undefined;
  /** Since when nothing is known of revocations; Infinity before anything is, or without the feed. */
  readonly staleness: number;
  /** How many are remembered. */
  readonly revocations: number;
}

/** Says who access tokens are of, for any number of requests at a time. */
export interface Verifier {
  /**
   * Who the token is of; waits only for keys and revocations that aren't there yet.
   *
   * Rejects with `token_expired` or `session_ended` what was good once, with `token_refused`
   * anything else; with `verifier_not_ready` when keys or revocations can't be had.
   */
  verify(token: string, options?: { readonly signal?: AbortSignal | undefined }): Promise<Caller>;
  /** Fetch keys and follow revocations from now on, rather than from the first token on. */
  start(): void;
  readonly staleness: number;
  /** How it is now; starts it, if nothing else has. */
  state(): VerifierState;
  /** Follow nothing any more; until then a program on Node does not end by itself. */
  close(): void;
}

/** A verifier. It fetches keys with its first token, or when it is started; throws `configuration`. */
export function createVerifier(options: VerifierOptions): Verifier {
  const { issuer, leeway = 5, onStale = 'closed', maxStaleness = 10, staleIfError = 3600, patience = 5 } = options;
  const audience = options.audience ?? issuer;
  let wrong: string | undefined;
  if (!issuer) wrong = 'An issuer must be given.';
  else if (!(leeway >= 0 && leeway <= 60)) wrong = 'leeway is 0 to 60 seconds.';
  else if (!(maxStaleness >= 0)) wrong = 'maxStaleness is a number of seconds.';
  else if (!(staleIfError >= 0)) wrong = 'staleIfError is a number of seconds.';
  else if (!(patience >= 0 && patience <= LONGEST)) wrong = 'patience is a number of seconds.';
  else if (onStale !== 'closed' && onStale !== 'open') wrong = 'onStale is "closed" or "open".';
  if (wrong) throw new GatebookError('configuration', wrong);
  const wire = {
    url: baseUrl(options.url ?? issuer, options.allowHttp),
    fetch: options.fetch ?? ((input, init) => globalThis.fetch(input, init)),
    patience: patience * 1000,
  } satisfies { url: string; fetch: Fetch; patience: number };
  const ring = keys(wire, staleIfError * 1000);
  const feed: Feed | undefined =
    (options.revocations ?? true) ? follow(wire, { withdrawn: ring.renew, logChanged: ring.drop }) : undefined;

  async function newer(form: Form, known: KeySet): Promise<PublicKey | undefined> {
    const kid = kidOf(form);
    if (kid === undefined || known.byKid.has(kid)) return undefined;
    return (await ring.afterUnknown())?.byHeader.get(form.header);
  }

  function lookUp(caller: Caller, kid: string): void {
    if (!feed) return;
    if (feed.changed) throw notReady("The issuer's log was replaced, and has not been read again yet.");
    if (feed.revoked(caller.sessionId, kid)) {
      throw new GatebookError('session_ended', 'The session of this token was ended.');
    }
    const stale = feed.staleness();
    if (onStale === 'closed' && stale > maxStaleness) {
      throw notReady(`Nothing is known of revocations ${stale === Infinity ? 'yet' : `since ${stale.toFixed(1)} s`}.`);
    }
  }

  async function verify(token: string): Promise<Caller> {
    const form = takeApart(token);
    const known = await ring.current();
    const key = known.byHeader.get(form.header) ?? (await newer(form, known));
    if (!key) throw refusal();
    const caller = await check(form, key, { issuer, audience, leeway });
    await feed?.begun();
    lookUp(caller, key.kid);
    return caller;
  }

  function start(): void {
    if (ring.age() === undefined) ring.renew();
    feed?.start();
  }

  const staleness = (): number => feed?.staleness() ?? Infinity;
  return {
    async verify(token, { signal } = {}) {
      signal?.throwIfAborted();
      return abortable(verify(token), signal);
    },
    start,
    get staleness() {
      return staleness();
    },
    state() {
      start();
      const keysAge = ring.age();
      const fresh = !feed || onStale === 'open' || staleness() <= maxStaleness;
      const ready = keysAge !== undefined && !feed?.changed && fresh;
      return { ready, keysAge, staleness: staleness(), revocations: feed?.size() ?? 0 };
    },
    close() {
      feed?.close();
    },
  };
}

const notReady = (message: string): GatebookError =>
  new GatebookError('verifier_not_ready', message, { retryAfter: 1 });

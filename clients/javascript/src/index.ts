/** Authentication with Gatebook that a page or program never has to think about. */

import { calls, type Api, type Options } from './calls.js';
import { GatebookError } from './errors.js';
import { keep, type Change, type Given } from './keeper.js';
import { memoryStore, type Store } from './store.js';
import { sessionOf } from './tokens.js';
import { ask, baseUrl, tokenRefused, type Fetch, type Wire } from './wire.js';

export type { Api, LogEvent, Me, Options, Session, Time, Tokens, User } from './calls.js';
export { GatebookError } from './errors.js';
export type { ClientCode, Code, Details, Problem, ServiceCode } from './errors.js';
export type { Change, Credentials, Given } from './keeper.js';
export { memoryStore } from './store.js';
export type { Kept, Locked, Store } from './store.js';
export type { Fetch } from './wire.js';

export interface ClientOptions {
  /** The service; https, or plain http on the own machine (or with `allowHttp`). */
  readonly url: string;
  /**
   * Key and secret, or a refresh token, or both; or a function that gives them, which is asked
   * when a session has to be begun. Without any, only what the store holds is used.
   */
  readonly credentials?: Given | undefined;
  /** Where tokens are kept: in memory, unless given. */
  readonly store?: Store | undefined;
  /** Stands in for the network's. */
  readonly fetch?: Fetch | undefined;
  /** Change the refresh token with each renewal, where the service doesn't do so anyway. */
  readonly rotate?: boolean | undefined;
  /** Seconds for which a call waits for a service that is away or says `Retry-After`; 30. */
  readonly patience?: number | undefined;
  /** Seconds for one request to the service; 10. */
  readonly timeout?: number | undefined;
  /** Send secrets over plain http to other machines, too. */
  readonly allowHttp?: boolean | undefined;
}

export interface Client {
  readonly url: string;
  /** A good access token, for what isn't sent by `fetch`. */
  token(options?: Options): Promise<string>;
  /**
   * As the global one, with the token. A request that is refused with 401 `invalid_token` is sent
   * once more with a new token, unless its body is a stream.
   */
  fetch: Fetch;
  /** End the session here, in the store, for all who share it, and at the service. */
  signOut(options?: Options): Promise<void>;
  /** Hear when the tokens change, here or where the store is shared; returns how to stop that. */
  onChange(listener: (change: Change) => void): () => void;
  /** Typed calls of the service itself. */
  readonly api: Api;
}

export function createClient(options: ClientOptions): Client {
  const { credentials } = options;
  if (credentials && typeof credentials !== 'function') check(credentials);
  const send: Fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
  const wire: Wire = {
    url: baseUrl(options.url, options.allowHttp),
    fetch: send,
    patience: (options.patience ?? 30) * 1000,
    timeout: Math.ceil((options.timeout ?? 10) * 1000),
  };
  const keeper = keep(wire, credentials, options.store ?? memoryStore(), options.rotate ?? false);

  /** What `send` gives, or what it gives with another token where the first one is refused. */
  const twice = async <T>(send: (token: string) => Promise<T>, no: (found: T) => boolean, signal?: AbortSignal | null): Promise<T> => {
    const held = await keeper.good(signal);
    const found = await send(held.access_token);
    const other = no(found) && (await keeper.insteadOf(held, signal));
    if (!other) return found;
    (found as Response | undefined)?.body?.cancel();
    return send(other.access_token);
  };

  return {
    url: wire.url,
    token: async ({ signal } = {}) => (await keeper.good(signal)).access_token,
    fetch(input, init) {
      const asked = input instanceof Request ? input : undefined;
      const body = init?.body;
      // A body that is read from a stream is gone when it was sent.
      const streamed = body instanceof ReadableStream || (body && Symbol.asyncIterator in Object(body));
      return twice(
        (token) => {
          const headers = new Headers(init?.headers ?? asked?.headers);
          headers.set('authorization', `Bearer ${token}`);
          return send(asked && !body ? asked.clone() : input, { ...init, headers });
        },
        (answer) => !streamed && tokenRefused(answer),
        init?.signal ?? asked?.signal,
      );
    },
    signOut: ({ signal } = {}) => keeper.signOut(signal),
    onChange: keeper.onChange,
    api: calls(wire, async (asked, signal) => {
      const refused = (error: unknown): boolean => error instanceof GatebookError && error.code === 'invalid_token';
      let error: unknown;
      const found = await twice(
        (token) => {
          error = undefined;
          return ask<never>(wire, { ...asked, token }, signal).catch((thrown: unknown) => void (error = thrown));
        },
        () => refused(error),
        signal,
      );
      if (error) throw error;
      return found as never;
    }),
  };
}

function check(given: Exclude<Given, Function>): void {
  const { user_key, user_secret, refresh_token } = given;
  let wrong: string | undefined;
  if (user_secret && !user_key) wrong = 'A user_secret takes its user_key.';
  else if (!(user_key && user_secret) && !refresh_token) wrong = 'Give user_key and user_secret, or a refresh_token.';
  else if (refresh_token && !sessionOf(refresh_token)) wrong = "The refresh_token is none of Gatebook's: gbr_…";
  if (wrong) throw new GatebookError('configuration', wrong);
}

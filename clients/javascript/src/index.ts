/** Authentication with Gatebook that a page or program never has to think about. */

import { calls, type Api, type Options } from './calls.js';
import { GatebookError } from './errors.js';
import { keep, type Change, type Given, type Held } from './keeper.js';
import { memoryStore, type Store } from './store.js';
import { sessionOf } from './tokens.js';
import { ask, baseUrl, LONGEST, tokenRefused, type Fetch, type Wire } from './wire.js';

export type { Api, LogEvent, Me, Options, Session, Time, Tokens, User } from './calls.js';
export { GatebookError } from './errors.js';
export type { ClientCode, Code, Details, Problem, ServiceCode } from './errors.js';
export type { Change, Credentials, Given } from './keeper.js';
export { memoryStore } from './store.js';
export type { Kept, Locked, Store } from './store.js';
export type { Fetch } from './wire.js';

/** What a client is made with; `url` alone is needed. */
export interface ClientOptions {
  /** The service; https, or plain http on the own machine (or with `allowHttp`). */
  readonly url: string;
  /**
   * Key and secret, or a refresh token, or both; or a function that gives them, which is asked
   * when a session has to be begun, and again by the next call when they are refused. Without any,
   * only what the store holds is used.
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

/** One user of one service: what is fetched with it has a good token. */
export interface Client {
  readonly url: string;
  /** A good access token, for what isn't sent by `fetch`. */
  token(options?: Options): Promise<string>;
  /**
   * As the global one, with the token. A request that is refused with 401 `invalid_token` is sent
   * once more with a new token, unless its body is a stream.
   */
  fetch: Fetch;
  /**
   * End the session here, in the store, for all who share it, and at the service. When it rejects
   * call it again. Credentials that were given as such are used up.
   */
  signOut(options?: Options): Promise<void>;
  /** Hear when the tokens change, here or where the store is shared; returns how to stop that. */
  onChange(listener: (change: Change) => void): () => void;
  /** Hear nothing of other tabs any more: for a client that isn't the last one of its page. */
  close(): void;
  /** Typed calls of the service itself. */
  readonly api: Api;
}

/** A client. It asks for nothing until it is used; throws `configuration`. */
export function createClient(options: ClientOptions): Client {
  const { credentials, patience = 30, timeout = 10 } = options;
  if (!(patience >= 0 && timeout > 0 && timeout <= LONGEST)) {
    throw new GatebookError('configuration', 'patience and timeout are seconds.');
  }
  if (credentials && typeof credentials !== 'function') check(credentials);
  const send: Fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
  const wire: Wire = {
    url: baseUrl(options.url, options.allowHttp),
    fetch: send,
    patience: patience * 1000,
    timeout: Math.ceil(timeout * 1000),
  };
  const keeper = keep(wire, credentials, options.store ?? memoryStore(), options.rotate ?? false);

  const bearing: Fetch = async (input, init) => {
    const asked = input instanceof Request ? input : undefined;
    const body = init?.body;
    const signal = init?.signal ?? asked?.signal;
    // A body that is read from a stream is gone when it was sent.
    const streamed = body instanceof ReadableStream || (body && Symbol.asyncIterator in Object(body));
    const sent = ({ access_token }: Held): Promise<Response> => {
      const headers = new Headers(init?.headers ?? asked?.headers);
      headers.set('authorization', `Bearer ${access_token}`);
      return send(asked && !body ? asked.clone() : input, { ...init, headers });
    };
    const held = await keeper.good(signal);
    const answer = await sent(held);
    const other = !streamed && tokenRefused(answer) && (await keeper.insteadOf(held, signal));
    if (!other) return answer;
    // It may be broken by now, or somebody's who reads it.
    answer.body?.cancel().catch(() => {});
    return sent(other);
  };

  return {
    url: wire.url,
    token: async ({ signal } = {}) => (await keeper.good(signal)).access_token,
    fetch: bearing,
    signOut: ({ signal } = {}) => keeper.signOut(signal),
    onChange: keeper.onChange,
    close: keeper.close,
    api: calls(wire, async (asked, signal) => {
      // One request has less time than a token may be waited for.
      await keeper.good(signal);
      return ask({ ...wire, fetch: bearing }, asked, signal);
    }),
  };
}

function check(given: Exclude<Given, Function>): void {
  const { user_key, user_secret, refresh_token } = given;
  const wrong = refresh_token ? !sessionOf(refresh_token) || (user_secret && !user_key) : !user_key || !user_secret;
  if (wrong) throw new GatebookError('configuration', 'Give user_key and user_secret, or a refresh_token.');
}

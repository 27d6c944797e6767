/** What anybody and the holder of an access token can ask the service, each as a typed call. */

import { has, passing } from './errors.js';
import { ask, insist, type Asked, type Wire } from './wire.js';

/** For each call; a signal that aborts takes nothing from the others who wait. */
export interface Options {
  readonly signal?: AbortSignal | undefined;
}

/** A name, and the secret that goes with it. */
export interface User {
  readonly user_id: string;
  readonly user_secret: string;
}

/** Of a new session. */
export interface Tokens {
  readonly access_token: string;
  readonly refresh_token: string;
}

/** A time as the service writes it: RFC 3339, UTC. */
export type Time = string;

/** The holder of the access token. */
export interface Me {
  readonly user_key: string;
  readonly user_id: string;
  readonly permissions: readonly string[];
  readonly session_id: string;
  readonly registered_at: Time;
  /** Of the access token. */
  readonly expires_at: Time;
}

/** One of one's own live sessions. */
export interface Session {
  readonly session_id: string;
  readonly started_at: Time;
  /** The last recorded use. */
  readonly last_used_at: Time;
  readonly expires_at: Time;
  readonly ip: string | null;
  readonly user_agent: string | null;
  readonly current: boolean;
  readonly kind: 'user' | 'service';
}

/** One entry of the log; what is sealed reads as null once its person was erased. */
export interface LogEvent {
  readonly position: number;
  readonly stream: string;
  readonly version: number;
  readonly time: Time;
  readonly type: string;
  readonly schema: number;
  readonly user_key: string | null;
  readonly actor: string;
  readonly request_id: string;
  readonly ip: string | null;
  readonly user_agent: string | null;
  readonly erased: boolean;
  readonly data: Readonly<Record<string, unknown>>;
}

interface Page<T> {
  readonly items: readonly T[];
  readonly next: string | null;
}

/** Calls of the service itself. None changes which tokens the client holds. */
export interface Api {
  /** Never says that a name is taken because its own first answer was lost. */
  register(user: User, options?: Options): Promise<{ readonly user_key: string }>;
  /** Begins a session that is the caller's to keep. */
  authenticate(
    of: { readonly user_key: string; readonly user_secret: string },
    options?: Options,
  ): Promise<Tokens>;
  /** `refresh_token` is in the answer when it was rotated. */
  refresh(
    of: { readonly refresh_token: string; readonly rotate?: boolean },
    options?: Options,
  ): Promise<{ readonly access_token: string; readonly refresh_token?: string }>;
  /** For someone who lost the key. */
  userKey(user: User, options?: Options): Promise<{ readonly user_key: string }>;
  /** Ends the session of a refresh token. */
  revoke(of: { readonly refresh_token: string }, options?: Options): Promise<void>;
  /** Who asks. */
  me(options?: Options): Promise<Me>;
  /** All other sessions end. */
  changeSecret(
    secrets: { readonly user_secret: string; readonly new_user_secret: string },
    options?: Options,
  ): Promise<void>;
  /** Whether it is finished; otherwise it goes on in the background. */
  erase(of: { readonly user_secret: string }, options?: Options): Promise<{ readonly finished: boolean }>;
  /** One's own live sessions, read page by page. */
  sessions(options?: Options): AsyncGenerator<Session, void, undefined>;
  /** End one of one's own. */
  endSession(session_id: string, options?: Options): Promise<void>;
  /** End all of one's own, or all others. */
  endSessions(options?: Options & { readonly keep?: 'current' }): Promise<void>;
  /** One's own history, newest first. */
  events(options?: Options): AsyncGenerator<LogEvent, void, undefined>;
}

interface Key {
  readonly user_key: string;
}

/** Asks as the holder of a token. */
export type Bearing = <T>(asked: Asked, signal?: AbortSignal) => Promise<T>;

export function calls(wire: Wire, bearing: Bearing): Api {
  const open = <T>(path: string, body: object, { signal }: Options = {}): Promise<T> =>
    insist(wire, () => ask<T>(wire, { method: 'POST', path, body }, signal), signal);
  const holding = <T>(path: string, { signal }: Options = {}, method?: string): Promise<T> =>
    insist(wire, () => bearing<T>({ path, method }, signal), signal);
  /** One that must not be repeated when its answer was lost. */
  const once = <T>(path: string, body: object, { signal }: Options = {}): Promise<T> =>
    insist(wire, () => bearing<T>({ method: 'POST', path, body }, signal), signal, tooMany);

  async function* pages<T>(path: string, options?: Options): AsyncGenerator<T, void, undefined> {
    let after: string | null = '';
    while (after !== null) {
      const page: Page<T> = await holding(`${path}?limit=1000${after && `&after=${encodeURIComponent(after)}`}`, options);
      yield* page.items;
      after = page.next;
    }
  }

  return {
    async register(user, { signal } = {}) {
      let lost = false;
      const taken = (error: unknown): boolean => {
        lost ||= passing(error) && !tooMany(error);
        return passing(error);
      };
      try {
        return await insist(wire, () => ask<Key>(wire, { method: 'POST', path: '/register', body: user }, signal), signal, taken);
      } catch (error) {
        if (!lost || !has(error, 'user_id_taken')) throw error;
        return open<Key>('/userkey', user, { signal }).catch((no) => {
          throw has(no, 'invalid_credentials') ? error : no;
        });
      }
    },
    userKey: (user, options) => open('/userkey', user, options),
    authenticate: (of, options) => open('/authenticate', of, options),
    refresh: (of, options) => open('/refresh', of, options),
    revoke: async (of, options) => void (await open('/revoke', of, options)),
    me: (options) => holding('/me', options),
    changeSecret: (secrets, options) => once('/me/secret', secrets, options),
    erase: async (of, options) => ({ finished: !(await once('/me/erase', of, options)) }),
    sessions: (options) => pages('/sessions', options),
    endSession: (id, options) => holding(`/sessions/${encodeURIComponent(id)}`, options, 'DELETE'),
    endSessions: (options) => holding(`/sessions${options?.keep ? `?keep=${options.keep}` : ''}`, options, 'DELETE'),
    events: (options) => pages('/me/events', options),
  };
}

const tooMany = (error: unknown): boolean => has(error, 'too_many_attempts');

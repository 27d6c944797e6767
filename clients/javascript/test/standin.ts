/** A stand-in for the service and for an API that takes its tokens: answers as it is told to. */

import type { Fetch } from '../src/index.js';

export type Answer =
  | 'usual'
  | 'lost'
  | 'foreign'
  | {
      readonly status: number;
      readonly retry_after?: number;
      readonly as_moment?: boolean;
      readonly challenge?: string;
      readonly code?: string;
      readonly body?: object;
    };

export const URL_OF_SERVICE = 'https://auth.example';
export const URL_OF_API = 'https://api.example/orders';
export const USER_KEY: string = `uk_${'a'.repeat(26)}`;
const SESSION_LENGTH = 22;

export interface Options {
  readonly lifeS: number;
  readonly rotates: boolean;
  /** The service's clock, ms since the epoch. */
  readonly now: () => number;
}

export class StandIn {
  service: Answer[] = [];
  api: Answer[] = [];
  goneUntil: number = -Infinity;
  readonly requests: Record<string, number> = { '/authenticate': 0, '/refresh': 0, '/revoke': 0, api: 0 };
  readonly presented: number[] = [];
  readonly tokensSeen: string[] = [];
  readonly #ended = new Set<number>();
  #sessions = 0;
  #tokens = 0;

  constructor(readonly options: Options) {}

  /** A refresh token of a new session. */
  session(): string {
    return refreshToken(++this.#sessions, 1);
  }

  /** How many sessions go on. */
  get live(): number {
    return this.#sessions - this.#ended.size;
  }

  endSessions(): void {
    for (let session = 1; session <= this.#sessions; session++) this.#ended.add(session);
  }

  readonly fetch: Fetch = async (input, init) => {
    const request = new Request(input, init);
    request.signal.throwIfAborted();
    const { pathname, origin } = new URL(request.url);
    const body = request.body ? await request.text() : '';
    return origin === URL_OF_SERVICE ? this.#serve(pathname, JSON.parse(body)) : this.#call(request);
  };

  #call(request: Request): Response {
    this.requests['api']!++;
    this.tokensSeen.push(request.headers.get('authorization') ?? '');
    const answer = this.api.shift() ?? 'usual';
    if (typeof answer === 'string') return Response.json({});
    const headers: HeadersInit = answer.challenge
      ? { 'www-authenticate': `Bearer realm="gatebook", error="${answer.challenge}"` }
      : {};
    return new Response('{}', { status: answer.status, headers });
  }

  #serve(path: string, body: Record<string, string>): Response {
    this.requests[path]!++;
    if (performance.now() < this.goneUntil) throw new TypeError('fetch failed');
    const answer = this.service.shift() ?? 'usual';
    if (answer === 'foreign') return new Response('<!doctype html>');
    if (typeof answer === 'object') return problem(answer, this.options.now());
    const found = this.#usual(path, body);
    if (answer === 'lost') throw new TypeError('terminated');
    return found;
  }

  #usual(path: string, body: Record<string, string>): Response {
    let session = 0;
    let generation = 1;
    if (path === '/authenticate') session = ++this.#sessions;
    else {
      [session, generation] = readToken(body['refresh_token']!);
      if (path === '/revoke') {
        this.#ended.add(session);
        return Response.json({});
      }
      this.presented.push(generation);
      if (this.#ended.has(session)) return problem({ status: 401, code: 'invalid_token' });
      generation++;
    }
    const access_token = this.accessToken();
    const rotated = path === '/authenticate' || this.options.rotates || body['rotate'];
    return Response.json({ access_token, ...(rotated && { refresh_token: refreshToken(session, generation) }) });
  }

  accessToken(): string {
    const iat = Math.floor(this.options.now() / 1000);
    const claims = { iat, exp: iat + this.options.lifeS, sid: 's', sub: USER_KEY, jti: `${++this.#tokens}` };
    return `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.c2ln`;
  }
}

function problem({ status, code, retry_after, as_moment, body }: Exclude<Answer, string>, now: number = 0): Response {
  const headers = new Headers(retry_after === undefined ? {} : { 'retry-after': `${retry_after}` });
  if (as_moment) {
    headers.set('retry-after', new Date(now + retry_after! * 1000).toUTCString());
    headers.set('date', new Date(now).toUTCString());
  }
  const said = code ? { type: 'about:blank', title: code, status, detail: code, code, request_id: '' } : body;
  return new Response(said && JSON.stringify(said), { status, headers });
}

const refreshToken = (session: number, generation: number): string =>
  `gbr_${`${session}`.padStart(SESSION_LENGTH, '0')}${`${generation}`.padStart(6, '0')}${'x'.repeat(49)}`;

const readToken = (token: string): [number, number] => [Number(token.slice(4, 26)), Number(token.slice(26, 32))];

/** One request to the service, and what its answer means. Knows neither tokens nor what is asked. */

import { GatebookError, type Problem } from './errors.js';

export type Fetch = typeof globalThis.fetch;

export interface Wire {
  readonly url: string;
  readonly fetch: Fetch;
  /** Milliseconds for which a call waits for a service that is away or overloaded. */
  readonly patience: number;
  /** Milliseconds for one request. */
  readonly timeout: number;
}

export interface Asked {
  readonly method?: string | undefined;
  readonly path: string;
  readonly body?: object;
  readonly token?: string;
}

const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\]|.*\.localhost)$/;
const FIRST_PAUSE = 100;
const LONGEST_PAUSE = 2000;

/** The service's address without a slash at its end; secrets go over https, or stay on the machine. */
export function baseUrl(given: string, allowHttp?: boolean): string {
  let url: URL | undefined;
  try {
    url = new URL(given);
  } catch {
    // told below
  }
  if (!url || !/^https?:$/.test(url.protocol) || url.search || url.hash || url.username || url.password) {
    throw new GatebookError('configuration', 'The url is no address of a service.');
  }
  if (url.protocol === 'http:' && !allowHttp && !LOOPBACK.test(url.hostname)) {
    throw new GatebookError('configuration', `${url.origin} is unencrypted: use https, or allowHttp.`);
  }
  return given.replace(/\/+$/, '');
}

/** The JSON of a success, undefined when it has none; rejects with what was refused. */
export async function ask<T>(wire: Wire, asked: Asked, signal?: AbortSignal): Promise<T> {
  const limit = AbortSignal.timeout(wire.timeout);
  const headers: Record<string, string> = {};
  if (asked.body) headers['content-type'] = 'application/json';
  if (asked.token) headers['authorization'] = `Bearer ${asked.token}`;
  const until = signal ? (AbortSignal.any?.([signal, limit]) ?? signal) : limit;
  const exchange = async (): Promise<[Response, string]> => {
    const answer = await wire.fetch(wire.url + asked.path, {
      method: asked.method ?? 'GET',
      headers,
      body: asked.body ? JSON.stringify(asked.body) : null,
      signal: until,
      cache: 'no-store',
      credentials: 'omit',
      redirect: 'error',
    });
    return [answer, await answer.text()];
  };
  let answer: Response;
  let text: string;
  try {
    // An abort may not reach a body that is read already: on Node 20 it goes with its request.
    [answer, text] = await abortable(exchange(), until);
  } catch (cause) {
    signal?.throwIfAborted();
    throw new GatebookError('unavailable', `${wire.url} doesn't answer.`, { cause });
  }
  if (!answer.ok) throw refusal(answer, text);
  return parsed(text) as T;
}

/** The same, again while the service is away and patience lasts; `delays` of the caller's own. */
export async function insist<T>(
  patience: number,
  work: () => Promise<T>,
  again: (error: unknown) => boolean,
  signal?: AbortSignal,
): Promise<T> {
  const until = performance.now() + patience;
  for (let turn = 0; ; turn++) {
    try {
      return await work();
    } catch (error) {
      if (!again(error)) throw error;
      const spread = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** turn) * (0.5 + Math.random() / 2);
      const wait = Math.max(((error as GatebookError).retryAfter ?? 0) * 1000, spread);
      if (performance.now() + wait > until) throw error;
      await abortable(new Promise((done) => setTimeout(done, wait)), signal);
    }
  }
}

/** What a promise gives, unless the signal comes first; the promise itself goes on. */
export function abortable<T>(promise: Promise<T>, signal?: AbortSignal | null): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

/** Whether an answer says that the token shown is none (RFC 6750 §3.1). */
export const tokenRefused = (answer: Response): boolean =>
  answer.status === 401 &&
  /\berror\s*=\s*"?invalid_token"?(?:[\s,]|$)/i.test(answer.headers.get('www-authenticate') ?? '');

/** Seconds to wait, given as such or as a moment (RFC 9110 §10.2.3). */
export function retryAfter(headers: Headers): number | undefined {
  const given = headers.get('retry-after')?.trim() ?? '';
  if (/^\d+$/.test(given)) return Number(given);
  const moment = Date.parse(given);
  return Number.isNaN(moment) ? undefined : Math.max(0, (moment - Date.now()) / 1000);
}

export function refusal(answer: Response, text: string): GatebookError {
  let problem: Problem | undefined;
  try {
    const found = JSON.parse(text);
    if (typeof found?.code === 'string') problem = found;
  } catch {
    // what stands in front of a service that is gone says no more than its status
  }
  const { status } = answer;
  const details = { problem, retryAfter: retryAfter(answer.headers) };
  if (status === 429 || (status > 501 && status < 505)) {
    const code = status === 429 ? 'too_many_attempts' : 'unavailable';
    return new GatebookError(problem?.code ?? code, problem?.detail ?? `It answered ${status}.`, details);
  }
  if (problem) return new GatebookError(problem.code, `${problem.code}: ${problem.detail}`, details);
  return unexpected(status);
}

export const unexpected = (status: number): GatebookError =>
  new GatebookError('unexpected_answer', `The answer (${status}) is not Gatebook's: is the address right?`);

function parsed(text: string): unknown {
  if (!text) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    throw unexpected(200);
  }
}

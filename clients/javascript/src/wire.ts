/** One request to the service, and what its answer means. Knows neither tokens nor what is asked. */

import { GatebookError, passing, type Problem } from './errors.js';

/** As the platform's own. */
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
}

/** Seconds: no timer can be set for much more. */
export const LONGEST = 1e6;
const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\]|.*\.localhost)$/;
const FIRST_PAUSE = 100;
const LONGEST_PAUSE = 2000;
/** Seconds; a service that says more means "not today". */
const DAY = 86_400;

/** The service's address without a slash at its end; secrets go over https, or stay on the machine. */
export function baseUrl(given: string, allowHttp?: boolean): string {
  let url: URL | undefined;
  try {
    url = new URL(given);
  } catch {
    // told below
  }
  if (!url || !/^https?:$/.test(url.protocol) || /[?#@]/.test(given)) {
    throw new GatebookError('configuration', 'The url is no address of a service.');
  }
  if (url.protocol === 'http:' && !allowHttp && !LOOPBACK.test(url.hostname)) {
    throw new GatebookError('configuration', 'Use https: the url is unencrypted.');
  }
  return given.replace(/\/+$/, '');
}

/** The JSON of a success, undefined when it has none; rejects with what was refused. */
export async function ask<T>(wire: Wire, { method = 'GET', path, body }: Asked, signal?: AbortSignal): Promise<T> {
  const limit = AbortSignal.timeout(wire.timeout);
  const until = signal ? (AbortSignal.any?.([signal, limit]) ?? signal) : limit;
  let answer!: Response;
  const exchange = async (): Promise<string> => {
    answer = await wire.fetch(wire.url + path, {
      method,
      headers: body ? { 'content-type': 'application/json' } : {},
      body: JSON.stringify(body),
      signal: until,
      cache: 'no-store',
      credentials: 'omit',
      redirect: 'error',
    });
    return answer.text();
  };
  let text: string;
  try {
    // An abort may not reach a body that is read already: on Node 20 it goes with its request.
    text = await abortable(exchange(), until);
  } catch (cause) {
    signal?.throwIfAborted();
    if (cause instanceof GatebookError) throw cause;
    throw new GatebookError('unavailable', `${wire.url} doesn't answer.`, { cause });
  }
  if (!answer.ok) throw refusal(answer, text);
  const found = json(text);
  if (text && found === undefined) throw unexpected(answer.status);
  return found as T;
}

/** What some work gives, which is done again while it fails in passing and patience lasts. */
export async function insist<T>(
  wire: Wire,
  work: () => Promise<T>,
  signal?: AbortSignal,
  again: (error: unknown) => boolean = passing,
): Promise<T> {
  const until = performance.now() + wire.patience;
  for (let turn = 0; ; turn++) {
    try {
      return await work();
    } catch (error) {
      if (!again(error)) throw error;
      const spread = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** turn) * (0.5 + Math.random() / 2);
      const wait = Math.max(((error as GatebookError).retryAfter ?? 0) * 1000, spread);
      if (performance.now() + wait > until) throw error;
      await pause(wait, signal);
    }
  }
}

/** Some milliseconds, unless the signal comes first: then nothing is left of it. */
export async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  let timer: ReturnType<typeof setTimeout>;
  const over = new Promise<void>((done) => (timer = setTimeout(done, ms)));
  return abortable(over, signal).finally(() => clearTimeout(timer));
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
  const given = headers.get('retry-after') ?? '';
  // By the clock that said so, where that is told: the own one may be an hour off.
  const date = Date.parse(headers.get('date') ?? '') || Date.now();
  const seconds = /^\d+$/.test(given) ? Number(given) : (Date.parse(given) - date) / 1000;
  return Number.isNaN(seconds) ? undefined : Math.min(Math.max(0, seconds), DAY);
}

export function refusal(answer: Response, text: string): GatebookError {
  const { status } = answer;
  const found = json(text) as Problem | undefined;
  // What stands in front of a service that is gone says no more than its status.
  const problem = typeof found?.code === 'string' && Number.isInteger(found.status) ? found : undefined;
  const details = { problem, retryAfter: retryAfter(answer.headers) };
  // Its status says what to do, whoever wrote it.
  const away = problem?.code === 'overloaded' ? problem.code : 'unavailable';
  const later = status === 429 ? 'too_many_attempts' : away;
  if (status === 429 || (status > 501 && status < 505)) return new GatebookError(later, problem?.detail ?? `It answered ${status}.`, details);
  if (problem) return new GatebookError(problem.code, `${problem.code}: ${problem.detail}`, details);
  return unexpected(status);
}

export const unexpected = (status: number): GatebookError =>
  new GatebookError('unexpected_answer', `The answer (${status}) is not Gatebook's.`);

/** What a text says; undefined when it is no JSON. */
export function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

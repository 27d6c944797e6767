/**
 * What was revoked, as the issuer's feed tells it, and how old that knowledge is.
 *
 * Knows no token and no key.
 */

import { GatebookError } from '../errors.js';
import { abortable, pause, refusal, unexpected, type Fetch } from '../wire.js';

export interface Feed {
  start(): void;
  /** Wait for the first head, when everything that was revoked before it is known; not for ever. */
  begun(): Promise<void>;
  /** Seconds since the newest head was true; Infinity before the first one. */
  staleness(): number;
  /** The log is another one, and hasn't been read again yet. */
  readonly changed: boolean;
  revoked(sessionId: string, kid: string): boolean;
  size(): number;
  close(): void;
}

interface Heard {
  /** `withdrawn`: a key was. `logChanged`: whatever was learned from the issuer's log is void. */
  readonly withdrawn: () => void;
  readonly logChanged: () => void;
}

/** Milliseconds without a word, on a stream that says something every second, until it is left. */
const SILENCE = 3000;
/** Milliseconds until the next try, however long the issuer says: who fails closed is out meanwhile. */
const LONGEST_WAIT = 3000;
const PRUNE_EVERY = 60_000;
/**
 * Milliseconds for which a session's end is kept at least: the longest that a token can be good, an hour, a minute of
 * leeway, and another one by which this clock may be behind the issuer's.
 */
const KEPT = 3_720_000;
const PATH = '/revocations/stream';

export function follow(
  wire: { readonly url: string; readonly fetch: Fetch; readonly patience: number },
  heard: Heard,
): Feed {
  // Each with the time on the monotonic clock until which it is kept: no clock that is set changes that.
  const sessions = new Map<string, number>();
  // For as long as the log is this one: whoever has a stolen key goes on signing.
  const kids = new Set<string>();
  const closing = new AbortController();
  let logId: string | undefined;
  let position: number | undefined;
  /** The least, on the monotonic clock, at which the newest head may have been so. */
  let newest = -Infinity;
  /** What the issuer's clock said then, ms since the epoch; before the first head later than anything. */
  let said = Infinity;
  /** How far the issuer's clock is ahead of the monotonic one, as far as is known; ms. */
  let ahead: number | undefined;
  let changed = false;
  let prunedAt = 0;
  let startedAt: number | undefined;
  let first = (): void => {};
  const begun = new Promise<void>((resolve) => (first = resolve));

  async function run(): Promise<void> {
    for (let turn = 0; !closing.signal.aborted; turn++) {
      const began = performance.now();
      let wait = 0;
      try {
        await read();
      } catch (error) {
        const failed = error instanceof GatebookError ? error : undefined;
        if (failed?.code === 'log_changed') forget();
        else wait = Math.min((failed?.retryAfter ?? 0) * 1000, LONGEST_WAIT);
      }
      if (performance.now() - began > SILENCE) turn = 0;
      wait = Math.max(wait, Math.min(2000, 100 * 2 ** turn) * (0.5 + Math.random() / 2));
      await pause(wait, closing.signal).catch(() => {});
    }
  }

  /** Until the stream ends; rejects with what ended it. */
  async function read(): Promise<void> {
    ahead = undefined;
    const silent = new AbortController();
    let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
    // An abort may not reach a body that is read already: on Node 20 it goes with its request.
    const leave = (): void => {
      silent.abort();
      reader?.cancel().catch(() => {});
    };
    closing.signal.addEventListener('abort', leave);
    let timer = setTimeout(leave, SILENCE);
    try {
      const headers: Record<string, string> = { accept: 'text/event-stream' };
      if (logId !== undefined && position !== undefined) headers['last-event-id'] = `${logId}:${position}`;
      const answer = await wire.fetch(wire.url + PATH, {
        headers,
        signal: silent.signal,
        cache: 'no-store',
        credentials: 'omit',
        redirect: 'error',
      });
      if (!answer.ok) throw refusal(answer, await answer.text());
      if (!answer.body) throw unexpected(answer.status);
      reader = answer.body.getReader();
      const decoder = new TextDecoder();
      let rest = '';
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        clearTimeout(timer);
        timer = setTimeout(leave, SILENCE);
        rest += decoder.decode(value, { stream: true });
        // The other half of a line's end may be on its way.
        if (rest.endsWith('\r')) continue;
        const events = rest.replace(/\r\n?/g, '\n').split('\n\n');
        rest = events.pop()!;
        events.forEach(hear);
      }
    } finally {
      clearTimeout(timer);
      closing.signal.removeEventListener('abort', leave);
      leave();
    }
  }

  function hear(event: string): void {
    let name = '';
    const data: string[] = [];
    for (const line of event.split('\n')) {
      const [field, value] = [line.split(':', 1)[0], line.slice(line.indexOf(':') + 1).replace(/^ /, '')];
      if (field === 'event') name = value;
      if (field === 'data') data.push(value);
    }
    if (name === 'revocation') learn(JSON.parse(data.join('\n')));
    if (name === 'head') reach(JSON.parse(data.join('\n')));
  }

  function learn(told: { position: number; until: string; session_id?: string; kid?: string }): void {
    const lasts = Date.parse(told.until) - said;
    if (Number.isNaN(lasts)) throw unexpected(200);
    // By its age here: an issuer's clock that leaps ahead for a while would else bring back sessions that have ended.
    const until = performance.now() + Math.max(lasts, KEPT);
    if (told.session_id !== undefined) sessions.set(told.session_id, until);
    if (told.kid !== undefined && !kids.has(told.kid)) {
      kids.add(told.kid);
      heard.withdrawn();
    }
    // Its place in the log is known once a head says which log that is.
    if (logId !== undefined) position = told.position;
  }

  function reach(head: { log_id: string; position: number; time: string }): void {
    if (logId !== undefined && logId !== head.log_id) {
      throw new GatebookError('log_changed', 'The head is of another log.');
    }
    const now = performance.now();
    const told = Date.parse(head.time);
    if (Number.isNaN(told)) throw unexpected(200);
    // On its way a head can only get older: the one that was fastest says how the clocks differ.
    ahead = Math.max(ahead ?? -Infinity, told - now);
    if (now - (told - ahead) > SILENCE) {
      throw new GatebookError('unavailable', "The heads come too late, or the issuer's clock was set back.");
    }
    logId = head.log_id;
    position = Math.max(head.position, position ?? 0);
    newest = told - ahead;
    said = told;
    changed = false;
    first();
    if (now - prunedAt < PRUNE_EVERY) return;
    prunedAt = now;
    // What no unexpired token can have.
    for (const [each, until] of sessions) if (until < now) sessions.delete(each);
  }

  function forget(): void {
    changed = true;
    newest = -Infinity;
    said = Infinity;
    logId = position = undefined;
    sessions.clear();
    kids.clear();
    heard.logChanged();
  }

  function start(): void {
    if (startedAt !== undefined || closing.signal.aborted) return;
    startedAt = performance.now();
    void run();
  }

  return {
    start,
    async begun() {
      start();
      const left = Math.ceil(wire.patience - (performance.now() - (startedAt ?? 0)));
      if (newest === -Infinity && left > 0) await abortable(begun, AbortSignal.timeout(left)).catch(() => {});
    },
    staleness: () => Math.max(0, performance.now() - newest) / 1000,
    get changed() {
      return changed;
    },
    revoked: (sessionId, kid) => sessions.has(sessionId) || kids.has(kid),
    size: () => sessions.size + kids.size,
    close: () => closing.abort(),
  };
}

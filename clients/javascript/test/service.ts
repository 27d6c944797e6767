/** A service of the tests as a process of its own: started, stopped, started again, its log read. */

import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ROOT = new URL('../../..', import.meta.url).pathname;
const PYTHON = process.env['GATEBOOK_TEST_PYTHON'] ?? join(ROOT, '.venv/bin/python');
const START_MS = 60_000;
/** Counts a log's events by type, past the service. */
const COUNT = `
import json, sqlite3, sys
database = sqlite3.connect(sys.argv[1])
print(json.dumps(dict(database.execute("SELECT topic, count(*) FROM events GROUP BY topic"))))
`;

export const SECRET = 'a quiet rope of seven';

export interface Service {
  readonly url: string;
  start(): Promise<void>;
  stop(): Promise<void>;
  /** How many events of these types the log has. */
  events<T extends string>(...types: T[]): Record<T, number>;
  /** A new user's key. */
  register(name?: string): Promise<string>;
  /** A new session's tokens. */
  authenticate(user_key: string): Promise<{ access_token: string; refresh_token: string }>;
  post(path: string, body: object, token?: string): Promise<Response>;
  /** Stop it, and remove what it kept; one that others began goes on. */
  end(): Promise<void>;
}

/** All that a service is known by. */
export interface Place {
  readonly url: string;
  readonly env: Readonly<Record<string, string>>;
}

declare module 'vitest' {
  interface ProvidedContext {
    /** The one that all tests share: tokens of two seconds, which rotate always. */
    service: Place;
    /** The address of the browser that they share; empty where there is none. */
    browser: string;
    /** Where pages are from that may call the service. */
    origin: string;
    second: string;
  }
}

/** Serves with these settings (`GATEBOOK_…`) besides the tests' own. */
export async function serve(settings: Readonly<Record<string, string>> = {}): Promise<Service & { place: Place }> {
  const folder = mkdtempSync(join(tmpdir(), 'gatebook-client-'));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const given: Record<string, string> = {
    DATABASE_URL: `sqlite:///${folder}/gatebook.db`,
    HOST: '127.0.0.1',
    PORT: `${port}`,
    ISSUER: url,
    MASTER_KEY: Buffer.from(Array.from({ length: 32 }, (_, index) => index)).toString('base64'),
    HASH_MEMORY_KIB: '8',
    HASH_TIME: '1',
    REGISTRATIONS_PER_HOUR: '0',
    LOG_FORMAT: 'json',
    ...settings,
  };
  const env = Object.fromEntries(Object.entries(given).map(([name, value]) => [`GATEBOOK_${name}`, value]));
  const service = serviceAt({ url, env });
  await service.start();
  return {
    ...service,
    place: { url, env },
    async end() {
      await service.end();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** One that serves already. */
export function serviceAt({ url, env: settings }: Place): Service {
  const env: NodeJS.ProcessEnv = Object.fromEntries(
    Object.entries({ ...process.env, ...settings }).filter(([name]) => !/^GATEBOOK_/.test(name) || name in settings),
  );
  let running: ChildProcess | undefined;

  const service: Service = {
    url,
    async start() {
      const process = spawn(PYTHON, ['-m', 'tests.server'], {
        cwd: ROOT,
        env: { ...env, GATEBOOK_TEST_LEASH: '1' },
        stdio: ['pipe', 'pipe', 'pipe'],
      });
      running = process;
      let said = '';
      await new Promise<void>((resolve, reject) => {
        const late = setTimeout(() => reject(new Error(`not started:\n${said}`)), START_MS);
        const hear = (chunk: Buffer): void => {
          if (said.length < 100_000) said += chunk.toString();
          if (!said.includes('serving')) return;
          clearTimeout(late);
          resolve();
        };
        process.stdout.on('data', hear);
        process.stderr.on('data', hear);
        process.once('exit', () => reject(new Error(`ended:\n${said}`)));
      });
    },
    async stop() {
      const process = running;
      running = undefined;
      if (!process || process.exitCode !== null) return;
      const gone = new Promise((resolve) => process.once('exit', resolve));
      process.kill('SIGTERM');
      const late = setTimeout(() => process.kill('SIGKILL'), 10_000);
      await gone;
      clearTimeout(late);
    },
    events(...types) {
      const said = execFileSync(PYTHON, ['-c', COUNT, env['GATEBOOK_DATABASE_URL']!.slice('sqlite:///'.length)], {
        encoding: 'utf8',
      });
      const found = new Map(Object.entries(JSON.parse(said) as Record<string, number>));
      return Object.fromEntries(types.map((type) => [type, found.get(type) ?? 0])) as Record<(typeof types)[number], number>;
    },
    async register(name = `user${randomUUID()}`) {
      const user = { user_id: name, user_secret: SECRET };
      const made = await insisted('/register', user, 201, 409);
      const answer = made.status === 201 ? made : await insisted('/userkey', user, 200);
      return ((await answer.json()) as { user_key: string }).user_key;
    },
    async authenticate(user_key) {
      const answer = await insisted('/authenticate', { user_key, user_secret: SECRET }, 200);
      return (await answer.json()) as { access_token: string; refresh_token: string };
    },
    post: (path, body, token) =>
      fetch(url + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
        body: JSON.stringify(body),
      }),
    end: () => service.stop(),
  };
  /** Again while the machine is too busy for it; it may have been done all the same. */
  async function insisted(path: string, body: object, ...good: number[]): Promise<Response> {
    for (;;) {
      const answer = await service.post(path, body);
      if (good.includes(answer.status)) return answer;
      if (answer.status !== 503) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
      await new Promise((done) => setTimeout(done, 50));
    }
  }
  return service;
}

/** One that no outgoing connection of anybody's takes meanwhile. */
export async function freePort(): Promise<number> {
  for (;;) {
    const wanted = 20_000 + Math.floor(Math.random() * 10_000);
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(wanted, '127.0.0.1', () => resolve((server.address() as AddressInfo).port === wanted));
    });
    await new Promise((resolve) => server.close(resolve));
    if (free) return wanted;
  }
}

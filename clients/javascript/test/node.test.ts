/** The store of programs on Node: a file that processes share. */

import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';

import { createClient } from '../src/index.js';
import { fileStore } from '../src/node.js';
import { begin } from './programs.js';
import { serve, type Service } from './service.js';
import { StandIn, URL_OF_API, URL_OF_SERVICE, USER_KEY } from './standin.js';

const NODE = new URL('../dist/node.js', import.meta.url).pathname;

/** What a disk does instead. */
const failing = vi.hoisted(() => ({ readdir: () => {} }));
vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof import('node:fs/promises')>();
  return {
    ...real,
    readdir: async (path: string) => {
      failing.readdir();
      return real.readdir(path);
    },
  };
});

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gatebook-client-'));
  file = join(folder, 'of', 'mine', 'tokens.json');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const KEPT = { access_token: 'a.b.c', refresh_token: 'gbr_', ahead: 1.5 };

test.each([NaN, -1])('%d seconds are none', (lockSeconds) => {
  expect(() => fileStore(file, { lockSeconds })).toThrow(expect.objectContaining({ code: 'configuration' }));
});

describe('the file', () => {
  test('is for its owner alone, and holds what was kept', async () => {
    const store = fileStore(file);
    expect(await store.read()).toBeNull();
    await store.write(KEPT);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(statSync(join(folder, 'of')).mode & 0o777).toBe(0o700);
    expect(await fileStore(file).read()).toEqual(KEPT);
    await store.write(null);
    expect(await store.read()).toBeNull();
    expect(readdirSync(join(folder, 'of', 'mine'))).toEqual(['tokens.json']);
  });

  test.skipIf(process.platform === 'win32')('that others may read is refused', async () => {
    const store = fileStore(file);
    await store.write(KEPT);
    chmodSync(file, 0o640);
    await expect(store.read()).rejects.toMatchObject({ code: 'configuration' });
    const { fetch, session } = standIn();
    const client = createClient({ url: URL_OF_SERVICE, credentials: { refresh_token: session() }, store, fetch });
    await expect(client.token()).rejects.toMatchObject({ code: 'configuration' });
  });

  test.skipIf(process.platform === 'win32')('that is a link is not followed', async () => {
    writeFileSync(join(folder, 'other'), JSON.stringify(KEPT), { mode: 0o600 });
    symlinkSync(join(folder, 'other'), join(folder, 'link'));
    await expect(fileStore(join(folder, 'link')).read()).rejects.toMatchObject({ code: 'ELOOP' });
  });

  test.each(['', 'null', '[]', '{"access_token":7}', '{"__proto__":{"access_token":"x"}}', 'not JSON'])(
    'that says %j holds nothing',
    async (text) => {
      mkdirSync(join(folder, 'of', 'mine'), { recursive: true });
      writeFileSync(file, text, { mode: 0o600 });
      expect(await fileStore(file).read()).toBeNull();
    },
  );
});

function standIn(): { fetch: typeof fetch; session: () => string; stand: StandIn } {
  const stand = new StandIn({ lifeS: 3600, rotates: true, now: Date.now });
  return { fetch: stand.fetch, session: () => stand.session(), stand };
}

describe('what can not be written', () => {
  /** A program whose files may have no byte, as on a full disk. */
  const full = (code: string): string =>
    execFileSync(
      'bash',
      ['-c', 'trap "" XFSZ; ulimit -f 0; exec node --input-type=module -e "$0"', `import { fileStore } from '${NODE}';\n${code}`],
      { encoding: 'utf8' },
    );

  test.skipIf(process.platform === 'win32')('leaves no file behind', () => {
    const said = full(`
      const store = fileStore('${file}');
      const wrong = await store.write({ access_token: 'a.b.c' }).catch(({ code }) => code);
      process.stdout.write(String(wrong));
    `);
    expect(said).toBe('EFBIG');
    expect(readdirSync(join(folder, 'of', 'mine'))).toEqual([]);
  });
});

describe('the lock', () => {
  test('that can not be taken after all is nobody\'s', async () => {
    const store = fileStore(file);
    await store.locked!(async () => {});
    // Whose it is was looked up once, before its own file was there.
    let looked = 0;
    failing.readdir = () => {
      if (++looked === 2) throw new Error('EIO');
    };
    try {
      await expect(store.locked!(async () => 'mine')).rejects.toMatchObject({ code: 'store_unavailable' });
    } finally {
      failing.readdir = () => {};
    }
    expect(readdirSync(`${file}.lock`)).toEqual([]);
  });

  test('is held by one at a time', async () => {
    const stores = [fileStore(file), fileStore(file), fileStore(file)];
    let inside = 0;
    let most = 0;
    await Promise.all(
      Array.from({ length: 30 }, (_, turn) =>
        stores[turn % 3]!.locked!(async (mine) => {
          most = Math.max(most, ++inside);
          await new Promise((done) => setTimeout(done, 2));
          mine();
          inside--;
        }),
      ),
    );
    expect(most).toBe(1);
    expect(readdirSync(`${file}.lock`)).toEqual([]);
  });

  test('of a process that was killed is nobody\'s', async () => {
    const { process } = begin('holder', [file]);
    await new Promise((resolve) => process.stdout!.once('data', resolve));
    await expect(fileStore(file, { lockSeconds: 0.1 }).locked!(async () => 1)).rejects.toMatchObject({
      code: 'store_unavailable',
    });
    const gone = new Promise((resolve) => process.once('exit', resolve));
    process.kill('SIGKILL');
    await gone;
    expect(await fileStore(file, { lockSeconds: 1 }).locked!(async () => 'mine')).toBe('mine');
    expect(readdirSync(`${file}.lock`)).toEqual([]);
  });

  test('of a number that is another process\'s by now is nobody\'s', async () => {
    let name = '';
    await fileStore(file).locked!(async () => {
      [name] = readdirSync(`${file}.lock`) as [string];
    });
    const [where, pid, start, own] = name.split('-');
    if (!start) return; // where it isn't told when a process began
    writeFileSync(join(`${file}.lock`, [where, pid, Number(start) - 1, own].join('-')), '');
    expect(await fileStore(file, { lockSeconds: 1 }).locked!(async () => 'mine')).toBe('mine');
  });
});

describe('a new token', () => {
  test('is on the disk before it is used', async () => {
    const { fetch, session } = standIn();
    const store = fileStore(file);
    const client = createClient({
      url: URL_OF_SERVICE,
      credentials: { refresh_token: session() },
      store,
      fetch: (input, init) => {
        if (input === URL_OF_API) {
          const kept = JSON.parse(readFileSync(file, 'utf8')) as typeof KEPT;
          expect(new Headers(init?.headers).get('authorization')).toBe(`Bearer ${kept.access_token}`);
        }
        return fetch(input, init);
      },
    });
    expect((await client.fetch(URL_OF_API)).status).toBe(200);
  });

  test('that can not be kept is not used, and the old one gets the same again', async () => {
    const { fetch, session, stand } = standIn();
    const store = fileStore(file);
    let full = 2;
    const client = createClient({
      url: URL_OF_SERVICE,
      credentials: { refresh_token: session() },
      fetch,
      store: {
        ...store,
        write: async (kept) => {
          if (full-- > 0) throw new Error('ENOSPC');
          await store.write(kept);
        },
      },
    });
    expect((await client.fetch(URL_OF_API)).status).toBe(200);
    expect(stand.presented).toEqual([1, 1, 1]);
  });

  test('is not used when the disk stays full', async () => {
    const { fetch, session, stand } = standIn();
    const write = (): never => {
      throw new Error('ENOSPC');
    };
    const client = createClient({
      url: URL_OF_SERVICE,
      credentials: { refresh_token: session() },
      fetch,
      patience: 0.5,
      store: { ...fileStore(file), write },
    });
    await expect(client.token()).rejects.toMatchObject({ code: 'store_unavailable' });
    expect(new Set(stand.presented)).toEqual(new Set([1]));
    // A session of one's own may do without.
    const other = createClient({
      url: URL_OF_SERVICE,
      credentials: { user_key: USER_KEY, user_secret: 'a quiet rope of seven' },
      fetch,
      store: { ...fileStore(file), write },
    });
    expect(await other.token()).toContain('.');
  });

  test('of another user is not taken from the file', async () => {
    const { fetch, session, stand } = standIn();
    await createClient({ url: URL_OF_SERVICE, credentials: { refresh_token: session() }, store: fileStore(file), fetch }).token();
    const secret = { user_key: `uk_${'b'.repeat(26)}`, user_secret: 'another rope of seven' };
    await createClient({ url: URL_OF_SERVICE, credentials: secret, store: fileStore(file), fetch }).token();
    expect(stand.requests['/authenticate']).toBe(1);
  });
});

describe('processes that share a session whose tokens rotate', () => {
  let service: Service;
  beforeAll(async () => {
    service = await serve({ ACCESS_TOKEN_TTL: '2', REFRESH_ROTATION: 'always' });
  });
  afterAll(() => service.end());

  test('see no refusal and record no reuse, also when the service restarts', async () => {
    const { refresh_token } = await service.authenticate(await service.register());
    const programs = Array.from({ length: 3 }, () => begin('caller', [service.url, file, '5', '4'], refresh_token));
    await new Promise((done) => setTimeout(done, 1000));
    const gone = Date.now() / 1000;
    await service.stop();
    await service.start();
    const back = Date.now() / 1000;
    for (const { said } of programs) {
      const [, line = ''] = (await said).split('\n');
      const told = JSON.parse(line) as { calls: number; wrong: Record<string, number>; unanswered: [number, number][] };
      expect(told.wrong).toEqual({});
      expect(told.unanswered.filter(([from, to]) => from > back || to < gone)).toEqual([]);
      expect(told.calls).toBeGreaterThan(0);
    }
    const found = service.events('refresh_token.reuse_detected', 'refresh_token.revoked', 'refresh_token.rotated');
    expect(found).toMatchObject({ 'refresh_token.reuse_detected': 0, 'refresh_token.revoked': 0 });
    expect(found['refresh_token.rotated']).toBeGreaterThan(0);
  });
});

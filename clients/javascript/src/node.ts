/**
 * A store for programs on Node: a file of mode 0600 that processes share.
 *
 * Its lock is a folder beside it. Whoever wants the lock puts a file of its own there, and holds
 * it when no other one is alive: so a dead one is passed over and removed, and nobody can take
 * away a lock that was made meanwhile. Knows no service.
 */

import { createHash, randomBytes } from 'node:crypto';
import { constants, readFileSync } from 'node:fs';
import { mkdir, open, readdir, readlink, rename, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { GatebookError } from './errors.js';
import { parse, type Locked, type Store } from './store.js';

/** How a file is shared. */
export interface FileStoreOptions {
  /** Seconds for which a process waits for another one that is renewing the tokens; 30. */
  readonly lockSeconds?: number | undefined;
}

/** Milliseconds after which a lock is over, whatever its holder does: one request takes 10 s. */
const LOCK_LIMIT = 20_000;
const OTHERS = 0o077;

/**
 * Keeps tokens as JSON in a file of mode 0600. Its folder is made.
 *
 * The file belongs to programs with this client: it has another lock than the Python client's.
 */
export function fileStore(path: string, { lockSeconds = 30 }: FileStoreOptions = {}): Store {
  if (!(lockSeconds >= 0)) throw new GatebookError('configuration', 'lockSeconds is a number of seconds.');
  const file = resolve(path);
  return {
    async read() {
      return parse(await readPrivate(file));
    },
    write: (kept) => writePrivate(file, `${JSON.stringify(kept)}\n`),
    locked: locking(`${file}.lock`, lockSeconds * 1000),
  };
}

function locking(folder: string, patience: number): Locked {
  return async (work) => {
    const until = performance.now() + patience;
    const seen = new Map<string, number>();
    const own = `${await place()}-${process.pid}-${started(process.pid)}-${randomBytes(8).toString('hex')}`;
    const mine = join(folder, own);
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      while (!(await held(folder, own, seen))) {
        if (performance.now() > until) throw unavailable(`${folder} is another process's for too long.`);
        await sleep(2 + Math.random() * 15);
      }
    } catch (error) {
      await rm(mine, { force: true }).catch(() => {});
      if (error instanceof GatebookError) throw error;
      throw unavailable(`${folder} can't be made or read.`, error);
    }
    const since = performance.now();
    try {
      return await work(() => {
        if (performance.now() - since > LOCK_LIMIT) throw unavailable('The lock was held for too long.');
      });
    } finally {
      await rm(mine, { force: true });
    }
  };
}

/** Whether the lock is ours: nobody else was alive before our file was there, nor after. */
async function held(folder: string, own: string, seen: Map<string, number>): Promise<boolean> {
  if (await anyAlive(folder, own, seen)) return false;
  const mine = join(folder, own);
  await (await open(mine, 'wx', 0o600)).close();
  if (!(await anyAlive(folder, own, seen))) return true;
  await rm(mine, { force: true });
  return false;
}

async function anyAlive(folder: string, own: string, seen: Map<string, number>): Promise<boolean> {
  let found = false;
  for (const name of await readdir(folder)) {
    if (name === own) continue;
    const since = seen.get(name) ?? performance.now();
    seen.set(name, since);
    // A name is never used again, so one that is dead can be removed by anybody at any time.
    if (performance.now() - since > LOCK_LIMIT || !(await alive(name))) {
      await rm(join(folder, name), { force: true });
    } else {
      found = true;
    }
  }
  return found;
}

/** Whether the process is there; one of another machine is, until the limit. */
async function alive(name: string): Promise<boolean> {
  const [where, pid, start] = name.split('-');
  if (where !== (await place())) return true;
  try {
    process.kill(Number(pid), 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  return started(Number(pid)) === start;
}

let known: Promise<string> | undefined;

/** Where a process's number means something: this machine, and this part of it. */
function place(): Promise<string> {
  return (known ??= (async () => {
    const namespace = await readlink('/proc/self/ns/pid').catch(() => '');
    return createHash('sha256').update(`${hostname()}\0${namespace}`).digest('hex').slice(0, 16);
  })());
}

/** When a process began, so that a number that is used again is another process; where it is told. */
function started(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')')).split(' ')[20] ?? '';
  } catch {
    return '';
  }
}

async function readPrivate(path: string): Promise<string | undefined> {
  let file;
  try {
    file = await open(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const found = await file.stat();
    if (process.getuid && (found.mode & OTHERS || ![process.getuid(), 0].includes(found.uid))) {
      throw new GatebookError('configuration', `Others can read ${path}: chmod 600 it, as its owner.`);
    }
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
}

/** Whoever reads meanwhile sees the old or the new; once it returns, the new is on the disk. */
async function writePrivate(path: string, text: string): Promise<void> {
  const folder = dirname(path);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const next = join(folder, `.${basename(path)}.${randomBytes(8).toString('hex')}`);
  try {
    const file = await open(next, 'wx', 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(next, path);
  } catch (error) {
    await rm(next, { force: true }).catch(() => {});
    throw error;
  }
  const parent = await open(folder, 'r');
  await parent.sync().catch(() => {}); // where folders can't be
  await parent.close();
}

const unavailable = (message: string, cause?: unknown): GatebookError =>
  new GatebookError('store_unavailable', message, { cause });

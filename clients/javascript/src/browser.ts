/**
 * Stores for pages and workers of one origin: one of them renews, under a Web Lock, and tells the
 * others by BroadcastChannel what it got. Knows no service.
 */

import { GatebookError } from './errors.js';
import { parse, type Kept, type Store } from './store.js';

/** Milliseconds for which a lock is waited for; then it is taken from whoever was frozen with it. */
const LOCK_LIMIT = 20_000;

type Sharing = Required<Pick<Store, 'hear'>> & Pick<Store, 'locked'> & { tell(kept: Kept | null): void };

function share(name: string): Sharing {
  // One for all clients of the store, so that none hears itself; there while one of them listens.
  let channel: BroadcastChannel | undefined;
  const ears = new Set<(event: MessageEvent) => void>();
  const { locks } = navigator;
  const store: Sharing = {
    tell: (kept) => channel?.postMessage(kept),
    hear(listener) {
      const heard = (event: MessageEvent): void => listener(event.data);
      ears.add(heard);
      channel ??= new BroadcastChannel(name);
      channel.addEventListener('message', heard);
      return () => {
        channel?.removeEventListener('message', heard);
        if (!ears.delete(heard) || ears.size) return;
        channel?.close();
        channel = undefined;
      };
    },
  };
  // Without them (plain http on another machine) it is the service's window for retries that
  // keeps two tabs apart.
  if (locks) {
    store.locked = async (work) => {
      const limit = AbortSignal.timeout(LOCK_LIMIT * (1 + Math.random() / 4));
      const lost = new GatebookError('store_unavailable', 'Another tab took the lock.');
      let state = 0;
      const run = (): ReturnType<typeof work> => {
        state = 1;
        return work(() => {
          if (state > 1) throw lost;
        });
      };
      try {
        return await locks.request(name, { signal: limit }, run).catch((error: unknown) => {
          if (state || !limit.aborted) throw error;
          return locks.request(name, { steal: true }, run);
        });
      } catch (error) {
        if ((error as Error).name !== 'AbortError') throw error;
        state = 2;
        throw lost;
      }
    };
  }
  return store;
}

/** In `localStorage`, under this name: it outlives the page, and every script of its origin sees it. */
export function localStorageStore(name = 'gatebook'): Store {
  const { tell, ...sharing } = share(name);
  return {
    ...sharing,
    read: () => parse(localStorage.getItem(name)),
    write(kept) {
      if (kept) localStorage.setItem(name, JSON.stringify(kept));
      else localStorage.removeItem(name);
      tell(kept);
    },
  };
}

/** In IndexedDB, in a database of this name: for workers, too. */
export function indexedDBStore(name = 'gatebook'): Store {
  const { tell, ...sharing } = share(name);
  const run = <T>(mode: IDBTransactionMode, work: (store: IDBObjectStore) => IDBRequest): Promise<T> =>
    new Promise((resolve, reject) => {
      const opening = indexedDB.open(name);
      opening.onerror = () => reject(opening.error);
      opening.onupgradeneeded = () => opening.result.createObjectStore(name);
      opening.onsuccess = () => {
        const database = opening.result;
        try {
          const transaction = database.transaction(name, mode, { durability: 'strict' });
          const request = work(transaction.objectStore(name));
          transaction.onabort = () => reject(transaction.error);
          transaction.oncomplete = () => resolve(request.result);
        } catch (cause) {
          reject(new GatebookError('configuration', `The database ${name} is something else's.`, { cause }));
        }
        // Once what was begun is done.
        database.close();
      };
    });
  return {
    ...sharing,
    read: async () => (await run<Kept | undefined>('readonly', (store) => store.get(name))) ?? null,
    async write(kept) {
      await run('readwrite', (store) => store.put(kept, name));
      tell(kept);
    },
  };
}

/** Clients of a stand-in, and a store that several of them share. */

import { createClient, type Client, type ClientOptions, type Kept, type Store } from '../src/index.js';
import { StandIn, URL_OF_SERVICE, USER_KEY } from './standin.js';

export const SECRET = { user_key: USER_KEY, user_secret: 'a quiet rope of seven' };

export function made(more: Partial<ClientOptions> = {}): { client: Client; stand: StandIn } {
  const stand = new StandIn({ lifeS: 3600, rotates: false, now: Date.now });
  const client = createClient({ url: URL_OF_SERVICE, credentials: SECRET, fetch: stand.fetch, ...more });
  return { client, stand };
}

export const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

/** A store that several share, one at a time; news of it comes a little later. */
export function shared({ tells = true } = {}): () => Store {
  let kept: Kept | null = null;
  let last: Promise<unknown> = Promise.resolve();
  const ears = new Map<object, (kept: Kept | null) => void>();
  return () => {
    const me = {};
    return {
      read: () => kept,
      write(given) {
        kept = given;
        for (const [whose, ear] of ears) if (whose !== me) setTimeout(() => ear(given), 3);
      },
      locked: (work) => {
        const mine = last.then(() => work(() => {}));
        last = mine.catch(() => {});
        return mine;
      },
      ...(tells && {
        hear(listener: (kept: Kept | null) => void) {
          ears.set(me, listener);
          return () => ears.delete(me);
        },
      }),
    };
  };
}

/**
 * Where tokens are kept, and how those who share a store keep out of each other's way.
 *
 * Knows no service. In every store a lock ends with a limit of time, whatever becomes of its holder.
 */

/** What is kept: the newest tokens, and seconds by which the service's clock is ahead, at most. */
export interface Kept {
  readonly access_token?: string;
  readonly refresh_token?: string;
  readonly ahead?: number;
}

/** `mine` throws once the lock is over: what was begun under it must not be gone on with. */
export type Locked = <T>(work: (mine: () => void) => Promise<T>) => Promise<T>;

/** Where tokens are kept: any object with these is one. */
export interface Store {
  /** What is kept now; null when nothing is: where something was, somebody has signed out. */
  read(): Promise<Kept | null> | Kept | null;
  /** Keep it, or nothing any more; returns once it is kept, rejects when it can't be. */
  write(kept: Kept | null): Promise<void> | void;
  /** Nobody who shares the store renews meanwhile; without it nobody shares it. */
  locked?: Locked;
  /** Hear of what the others keep; returns how to stop that. */
  hear?(listener: (kept: Kept | null) => void): () => void;
}

/** For this program alone, gone with it: the default. */
export function memoryStore(): Store {
  let held: Kept | null = null;
  return {
    read: () => held,
    write: (kept) => {
      held = kept;
    },
  };
}

/** What a text says that was kept; null when it is something else. */
export function parse(text: string | null | undefined): Kept | null {
  try {
    const found = JSON.parse(text ?? 'null');
    return typeof found?.access_token === 'string' ? found : null;
  } catch {
    return null;
  }
}

/** What a program that uses the package is told by its types. */

import { describe, expectTypeOf, test } from 'vitest';

import { localStorageStore } from 'gatebook-client/browser';
import { createClient, GatebookError, type Client, type Code, type Me, type Session, type Store } from 'gatebook-client';
import { fileStore } from 'gatebook-client/node';
import { createVerifier, type Caller } from 'gatebook-client/verify';

const client = createClient({ url: 'https://auth.example' });

describe('the client', () => {
  test('is made of options that are spelled right', () => {
    expectTypeOf(client).toEqualTypeOf<Client>();
    createClient({ url: '', credentials: { user_key: '', user_secret: '' }, store: fileStore('x') });
    createClient({ url: '', credentials: async () => undefined, store: localStorageStore() });
    // @ts-expect-error the address is missing
    createClient({});
    // @ts-expect-error there is no such credential
    createClient({ url: '', credentials: { password: '' } });
    // @ts-expect-error a store can be read and written
    createClient({ url: '', store: {} });
  });

  test('fetches as the global one does', () => {
    expectTypeOf(client.fetch).toEqualTypeOf<typeof globalThis.fetch>();
    expectTypeOf(client.token).returns.resolves.toBeString();
    expectTypeOf(client.token).parameter(0).toEqualTypeOf<{ readonly signal?: AbortSignal | undefined } | undefined>();
    expectTypeOf(client.onChange).returns.toEqualTypeOf<() => void>();
    expectTypeOf(client.signOut).returns.resolves.toBeVoid();
    expectTypeOf(client.close).returns.toBeVoid();
  });

  test('calls the service', () => {
    expectTypeOf(client.api.me).returns.resolves.toEqualTypeOf<Me>();
    expectTypeOf(client.api.sessions).returns.toEqualTypeOf<AsyncGenerator<Session, void, undefined>>();
    expectTypeOf(client.api.erase).returns.resolves.toEqualTypeOf<{ readonly finished: boolean }>();
    expectTypeOf<Session['kind']>().toEqualTypeOf<'user' | 'service'>();
    // @ts-expect-error nothing else can be kept
    void client.api.endSessions({ keep: 'all' });
  });

  test('has errors with codes', () => {
    expectTypeOf<GatebookError['code']>().toEqualTypeOf<Code>();
    expectTypeOf<GatebookError['retryAfter']>().toEqualTypeOf<number | undefined>();
    expectTypeOf<GatebookError>().toExtend<Error>();
    const code: Code = 'reauthentication_required';
    expectTypeOf(code).toExtend<Code>();
  });
});

test('stores are all of one kind', () => {
  expectTypeOf(fileStore).returns.toEqualTypeOf<Store>();
  expectTypeOf(localStorageStore).returns.toEqualTypeOf<Store>();
});

test('the verifier says who calls', () => {
  const verifier = createVerifier({ issuer: 'https://auth.example' });
  expectTypeOf(verifier.verify).parameter(0).toBeString();
  expectTypeOf(verifier.verify).returns.resolves.toEqualTypeOf<Caller>();
  expectTypeOf<Caller['permissions']>().toEqualTypeOf<ReadonlySet<string>>();
  expectTypeOf(verifier.staleness).toBeNumber();
  // @ts-expect-error it fails closed or open
  createVerifier({ issuer: '', onStale: 'sometimes' });
});

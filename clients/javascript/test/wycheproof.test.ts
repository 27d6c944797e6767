/** Signatures and tokens that broke libraries (Project Wycheproof), shown to the verifier. */

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

import { calculateJwkThumbprint, compactVerify, exportJWK, importJWK, type JWK } from 'jose';
import { beforeAll, describe, expect, test } from 'vitest';

import { createVerifier, GatebookError, type Fetch } from '../src/verify/index.js';
import { keys, type PublicKey } from '../src/verify/keys.js';
import { ISSUER, Issuer } from './issuer.js';

interface Vector {
  readonly tcId: number;
  readonly comment: string;
  readonly result: 'valid' | 'acceptable' | 'invalid';
  readonly jws?: unknown;
  readonly msg?: string;
  readonly sig?: string;
}
interface Group {
  readonly comment?: string;
  readonly public?: JWK | { keys: JWK[] };
  readonly private?: JWK | { keys: JWK[] };
  readonly publicKeyJwk?: JWK;
  readonly keyJwk?: JWK;
  readonly tests: readonly Vector[];
}

const groups = (name: string): Group[] =>
  JSON.parse(readFileSync(new URL(`../../../tests/tokens/wycheproof/${name}_test.json`, import.meta.url), 'utf8')).testGroups;

/** Under the kid that a service would give it, if it has all that it needs. */
async function published(jwk: JWK): Promise<JWK> {
  return { ...jwk, kid: await calculateJwkThumbprint(jwk).catch(() => jwk.kid ?? '') };
}

function publishing(jwks: readonly JWK[]): Fetch {
  return () => Promise.resolve(Response.json({ keys: jwks }));
}

const ringOf = (jwks: readonly JWK[]) => keys({ url: ISSUER, fetch: publishing(jwks) }, 0);

/** The one key, as the verifier reads it; undefined where it reads none. */
async function read(jwk: JWK): Promise<PublicKey | undefined> {
  const set = await ringOf([await published(jwk)]).current().catch(() => undefined);
  return set && [...set.byKid.values()][0];
}

async function outcomeOf(token: unknown, jwks: readonly JWK[]): Promise<string> {
  const verifier = createVerifier({ issuer: ISSUER, fetch: publishing(jwks), revocations: false });
  try {
    await verifier.verify(token as string);
    return 'accepted';
  } catch (error) {
    expect(error).toBeInstanceOf(GatebookError);
    return (error as GatebookError).code;
  } finally {
    verifier.close();
  }
}

const listed = (given: JWK | { keys: JWK[] }): JWK[] => ('keys' in given ? (given.keys as JWK[]) : [given as JWK]);

describe('security rule 13: what broke other verifiers', () => {
  test.each([
    ['ES256', 'ecdsa_secp256r1_sha256_p1363', { name: 'ECDSA', hash: 'SHA-256' }, 150],
    ['EdDSA', 'ed25519', { name: 'Ed25519' }, 80],
    ['RS256', 'rsa_signature_3072_sha256', { name: 'RSASSA-PKCS1-v1_5' }, 7],
  ])('exactly the right signatures by %s are accepted', async (alg, name, algorithm, least) => {
    let accepted = 0;
    for (const group of groups(name)) {
      const jwk = group.publicKeyJwk ?? group.keyJwk;
      // Odd points have no JWK there.
      if (!jwk) continue;
      const key = await read({ ...jwk, alg, use: 'sig' });
      expect(key).toBeDefined();
      for (const { tcId, msg, sig, result } of group.tests) {
        const [data, signature] = [Buffer.from(msg!, 'hex'), Buffer.from(sig!, 'hex')];
        const right = await crypto.subtle.verify(algorithm, key!.key, signature, data);
        expect(right, `${name} ${tcId}`).toBe(result === 'valid');
        if (right) accepted++;
      }
    }
    expect(accepted).toBeGreaterThanOrEqual(least);
  });

  test('a signature in a token is right with the keys that are read, exactly when it should be', async () => {
    let accepted = 0;
    for (const group of groups('json_web_signature')) {
      for (const jwk of group.public ? listed(group.public) : []) {
        const key = await read(jwk);
        if (!key) continue;
        for (const { tcId, jws, result } of group.tests) {
          const right = await compactVerify(jws as string, key.key, { algorithms: [key.algorithm] }).then(
            () => true,
            () => false,
          );
          expect(right, `${tcId}`).toBe(result === 'valid');
          if (right) accepted++;
        }
      }
    }
    expect(accepted).toBeGreaterThanOrEqual(8);
  });

  test('no token of theirs is one of ours', async () => {
    let tried = 0;
    for (const name of ['json_web_signature', 'json_web_key']) {
      for (const group of groups(name)) {
        const jwks = await Promise.all(listed((group.public ?? group.private)!).map(published));
        for (const { tcId, jws } of group.tests) {
          expect(['token_refused', 'verifier_not_ready'], `${name} ${tcId}`).toContain(await outcomeOf(jws, jwks));
          tried++;
        }
      }
    }
    expect(tried).toBe(427);
  });

  test('a key that nothing may be verified with is not read', async () => {
    const wrong = groups('json_web_key').filter((group) => [6, 8, 9, 19, 20, 21, 22, 23, 24].includes(group.tests[0]!.tcId));
    expect(wrong.length).toBe(9);
    for (const group of wrong) {
      for (const jwk of listed(group.public!)) expect(await read(jwk), group.comment).toBeUndefined();
    }
  });

  test('an RSA key whose exponent is 1, with which anybody signs, is passed over', async () => {
    const [jwk] = listed(groups('json_web_key').find((group) => group.comment === 'exponentOne')!.public!);
    const key = await published(jwk!);
    const now = Math.floor(Date.now() / 1000);
    const [, claims] = (await (await Issuer.make()).token(now)).split('.');
    const header = Buffer.from(JSON.stringify({ alg: 'RS256', typ: 'at+jwt', kid: key.kid })).toString('base64url');
    const signed = `${header}.${claims}`;
    // What is to be signed is its own signature (RFC 8017 §9.2): nobody needs a private key.
    const hash = createHash('sha256').update(signed).digest();
    const ending = Buffer.concat([Buffer.from('003031300d060960864801650304020105000420', 'hex'), hash]);
    const padded = Buffer.concat([Buffer.from([0, 1]), Buffer.alloc(256 - 2 - ending.length, 0xff), ending]);
    const token = `${signed}.${padded.toString('base64url')}`;
    const trusting = await importJWK({ kty: 'RSA', n: key.n!, e: key.e! }, 'RS256');
    await expect(compactVerify(token, trusting)).resolves.toBeDefined();
    const other = (await Issuer.make()).jwks;
    expect(await outcomeOf(token, [key, ...other])).toBe('token_refused');
  });

  describe('the control', () => {
    let issuer: Issuer;
    beforeAll(async () => {
      issuer = await Issuer.make();
    });

    test('a token of ours is accepted by a key that is read in the same way', async () => {
      const token = await issuer.token(Math.floor(Date.now() / 1000));
      expect(await outcomeOf(token, await Promise.all(issuer.jwks.map(published)))).toBe('accepted');
      expect(await exportJWK((await read(issuer.jwks[0]!))!.key)).toMatchObject({ kty: 'EC' });
    });
  });
});

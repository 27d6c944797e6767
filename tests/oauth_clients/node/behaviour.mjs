// What every OAuth library is asked to do with a service: the same tests for each of them.
//
// The environment says which service and which program; a library is met through `connect`.

import assert from 'node:assert/strict';
import { test } from 'node:test';

const { ISSUER, CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN, SCOPE, WAY } = process.env;

export const PROGRAM = { issuer: ISSUER, clientId: CLIENT_ID, secret: CLIENT_SECRET, way: WAY };
const PERMISSIONS = SCOPE.split(' ');
const CHALLENGE = 'Basic realm="gatebook", charset="UTF-8"';
const INACTIVE = { active: false };

// `connect(program)` gives a client that knows its issuer by discovery, and has
//   at, the metadata, and
//   granted(parameters), refreshed(token), asked(grant, parameters),
//   introspected(token) and revoked(token).
export function behavesWith(connect) {
  test('the issuer is all that has to be known', async () => {
    const { at } = await connect(PROGRAM);
    assert.equal(at.issuer, ISSUER);
    assert.ok(at.token_endpoint_auth_methods_supported.includes(WAY));
    assert.deepEqual(at.grant_types_supported, ['client_credentials', 'refresh_token']);
  });

  test('a program gets a token for its secret', async () => {
    const client = await connect(PROGRAM);
    const token = await client.granted();
    assert.equal(token.token_type, 'bearer'); // as the libraries spell whatever is answered
    assert.deepEqual([token.expires_in, token.scope], [3600, SCOPE]);
    assert.equal(token.refresh_token, undefined);
    assert.deepEqual(await ownPermissions(token.access_token), PERMISSIONS);
  });

  test('a scope may be narrowed', async () => {
    const client = await connect(PROGRAM);
    const { access_token: token, scope } = await client.granted({ scope: PERMISSIONS[0] });
    assert.equal(scope, PERMISSIONS[0]);
    assert.equal((await client.introspected(token)).scope, PERMISSIONS[0]);
  });

  test('a refresh token is changed, and its session lives until it is revoked', async () => {
    const client = await connect(PROGRAM);
    const first = await client.refreshed(REFRESH_TOKEN);
    const second = await client.refreshed(first.refresh_token);
    const tokens = new Set([REFRESH_TOKEN, first.refresh_token, second.refresh_token]);
    assert.equal(tokens.size, 3);
    assert.equal(second.scope, SCOPE);
    assert.deepEqual(await ownPermissions(second.access_token), PERMISSIONS);
    await expectActive(client, second.access_token);
    await client.revoked(second.refresh_token);
    assert.deepEqual(await client.introspected(second.access_token), INACTIVE);
    await expectRefusal(() => client.refreshed(second.refresh_token), 'invalid_grant', 400);
  });

  test('an access token may be revoked as well', async () => {
    const client = await connect(PROGRAM);
    const token = (await client.granted()).access_token;
    await expectActive(client, token);
    await client.revoked(token);
    assert.deepEqual(await client.introspected(token), INACTIVE);
    await expectActive(client, (await client.granted()).access_token);
  });

  test('a wrong secret is an invalid client', async () => {
    const stranger = await connect({ ...PROGRAM, secret: `${CLIENT_SECRET}?` });
    await expectRefusal(() => stranger.granted(), 'invalid_client', 401);
    await expectRefusal(() => stranger.refreshed(REFRESH_TOKEN), 'invalid_client', 401);
    await expectRefusal(() => stranger.introspected(REFRESH_TOKEN), 'invalid_client', 401);
    await expectRefusal(() => stranger.revoked(REFRESH_TOKEN), 'invalid_client', 401);
  });

  test('a refusal is read as what it is', async () => {
    const client = await connect(PROGRAM);
    const refusals = [
      ['invalid_grant', () => client.refreshed('gbr_made-up')],
      ['invalid_scope', () => client.granted({ scope: 'admin' })],
      ['invalid_request', () => client.asked('refresh_token', {})],
      ['unsupported_grant_type', () => client.asked('password', { username: 'a', password: 'b' })],
    ];
    for (const [error, ask] of refusals) {
      await expectRefusal(ask, error, 400);
    }
  });
}

async function ownPermissions(token) {
  const answer = await fetch(`${ISSUER}/me`, { headers: { authorization: `Bearer ${token}` } });
  return (await answer.json()).permissions;
}

async function expectActive(client, token) {
  const { active, sub, client_id: id, scope, iss } = await client.introspected(token);
  assert.deepEqual([active, sub, id, scope, iss], [true, CLIENT_ID, CLIENT_ID, SCOPE, ISSUER]);
}

async function expectRefusal(ask, error, status) {
  const refusal = await ask().then(() => assert.fail(`no ${error}`), (reason) => reason);
  assert.ok(refusal.response, refusal);
  const { headers } = refusal.response;
  // One that carries a challenge is told without its body.
  const word = refusal.error ?? (await refusal.response.json()).error;
  assert.deepEqual([word, refusal.status], [error, status]);
  assert.equal(headers.get('www-authenticate'), status === 401 ? CHALLENGE : null);
  assert.equal(headers.get('cache-control'), 'no-store');
}

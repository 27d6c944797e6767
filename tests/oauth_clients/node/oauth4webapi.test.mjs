// oauth4webapi, as its documentation has it.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as oauth from 'oauth4webapi';

import { behavesWith, PROGRAM } from './behaviour.mjs';

const HTTP_IS_ENOUGH = { [oauth.allowInsecureRequests]: true };
const WAYS = {
  client_secret_basic: oauth.ClientSecretBasic,
  client_secret_post: oauth.ClientSecretPost,
};

async function connect({ issuer, clientId, secret, way }) {
  const url = new URL(issuer);
  const found = await oauth.discoveryRequest(url, { algorithm: 'oauth2', ...HTTP_IS_ENOUGH });
  const at = await oauth.processDiscoveryResponse(url, found);
  const client = { client_id: clientId };
  const asking = [at, client, WAYS[way](secret)];
  return {
    at,
    async granted(parameters = {}) {
      const answer = await oauth.clientCredentialsGrantRequest(...asking, parameters, HTTP_IS_ENOUGH);
      return oauth.processClientCredentialsResponse(at, client, answer);
    },
    async refreshed(token) {
      const answer = await oauth.refreshTokenGrantRequest(...asking, token, HTTP_IS_ENOUGH);
      return oauth.processRefreshTokenResponse(at, client, answer);
    },
    async asked(grant, parameters) {
      const given = [grant, parameters, HTTP_IS_ENOUGH];
      const answer = await oauth.genericTokenEndpointRequest(...asking, ...given);
      return oauth.processGenericTokenEndpointResponse(at, client, answer);
    },
    async introspected(token) {
      const answer = await oauth.introspectionRequest(...asking, token, HTTP_IS_ENOUGH);
      return oauth.processIntrospectionResponse(at, client, answer);
    },
    async revoked(token) {
      const answer = await oauth.revocationRequest(...asking, token, HTTP_IS_ENOUGH);
      return oauth.processRevocationResponse(answer);
    },
    async verified(token, audience) {
      const headers = { authorization: `Bearer ${token}` };
      const request = new Request('https://api.example/', { headers });
      return oauth.validateJwtAccessToken(at, request, audience, HTTP_IS_ENOUGH);
    },
  };
}

behavesWith(connect);

test('a resource server verifies a token by the published keys', async () => {
  const client = await connect(PROGRAM);
  const token = (await client.granted()).access_token;
  const claims = await client.verified(token, PROGRAM.issuer);
  assert.deepEqual([claims.sub, claims.client_id], [PROGRAM.clientId, PROGRAM.clientId]);
  await assert.rejects(client.verified(token, 'https://elsewhere.example'), /"aud"/);
  await assert.rejects(client.verified(`${token.slice(0, -5)}AAAAA`, PROGRAM.issuer), /signature/);
});

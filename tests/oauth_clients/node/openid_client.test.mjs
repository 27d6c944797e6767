// openid-client, as its documentation has it.

import * as client from 'openid-client';

import { behavesWith } from './behaviour.mjs';

const WAYS = {
  client_secret_basic: client.ClientSecretBasic,
  client_secret_post: client.ClientSecretPost,
};

async function connect({ issuer, clientId, secret, way }) {
  const config = await client.discovery(new URL(issuer), clientId, {}, WAYS[way](secret), {
    algorithm: 'oauth2',
    execute: [client.allowInsecureRequests],
  });
  return {
    at: config.serverMetadata(),
    granted: (parameters) => client.clientCredentialsGrant(config, parameters),
    refreshed: (token) => client.refreshTokenGrant(config, token),
    asked: (grant, parameters) => client.genericGrantRequest(config, grant, parameters),
    introspected: (token) => client.tokenIntrospection(config, token),
    revoked: (token) => client.tokenRevocation(config, token),
  };
}

behavesWith(connect);

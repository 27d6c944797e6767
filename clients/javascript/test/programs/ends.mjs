/**
 * How soon a verifier hears that a session has ended.
 *
 * `node ends.mjs URL USER_KEY COUNT` reads the secret from stdin, begins and ends so many sessions,
 * and prints the seconds from each answer until the token is refused, as JSON.
 */

import { text } from 'node:stream/consumers';

import { createClient } from 'gatebook-client';
import { createVerifier } from 'gatebook-client/verify';

const [url, user_key, count] = process.argv.slice(2);
const user_secret = (await text(process.stdin)).trim();
const { api } = createClient({ url });
const verifier = createVerifier({ issuer: url });
const took = [];
for (let turn = 0; turn < Number(count); turn++) {
  const { access_token, refresh_token } = await api.authenticate({ user_key, user_secret });
  await verifier.verify(access_token);
  await api.revoke({ refresh_token });
  const answered = performance.now();
  for (let ended = false; !ended; ) {
    await verifier.verify(access_token).catch(({ code }) => {
      if (code !== 'session_ended') throw new Error(`refused with ${code}`);
      ended = true;
    });
    await new Promise((done) => setTimeout(done, 2));
  }
  took.push((performance.now() - answered) / 1000);
}
verifier.close();
console.log(JSON.stringify(took));

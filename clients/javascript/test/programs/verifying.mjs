/**
 * What a verifier says of many tokens.
 *
 * `node verifying.mjs ISSUER URL` reads a JSON list of tokens from stdin, and prints the outcome of
 * each as JSON: `accepted`, or the code of the refusal.
 */

import { text } from 'node:stream/consumers';

import { GatebookError } from 'gatebook-client';
import { createVerifier } from 'gatebook-client/verify';

const [issuer, url] = process.argv.slice(2);
const verifier = createVerifier({ issuer, url, revocations: false });
const outcomes = [];
for (const token of JSON.parse(await text(process.stdin))) {
  outcomes.push(
    await verifier.verify(token).then(
      () => 'accepted',
      (error) => (error instanceof GatebookError ? error.code : `a fault: ${error}`),
    ),
  );
}
verifier.close();
console.log(JSON.stringify(outcomes));

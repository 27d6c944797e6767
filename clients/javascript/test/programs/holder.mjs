/** `node holder.mjs FILE` takes the lock of a store, says so, and holds it until it is killed. */

import { fileStore } from 'gatebook-client/node';

await fileStore(process.argv[2]).locked(async () => {
  console.log('held');
  await new Promise((done) => setTimeout(done, 60_000));
});

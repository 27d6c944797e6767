/** What all tests share is begun before them: a service takes seconds to start. */

import type { TestProject } from 'vitest/node';

import { freePort, serve } from './service.js';

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const [origin, second] = await Promise.all([freePort(), freePort()]).then((ports) => ports.map((port) => `http://127.0.0.1:${port}`)) as [string, string];
  const service = await serve({ ACCESS_TOKEN_TTL: '2', REFRESH_ROTATION: 'always', CORS_ORIGINS: `${origin},${second}` });
  project.provide('service', service.place);
  project.provide('origin', origin);
  project.provide('second', second);
  return () => service.end();
}

/** What all tests share is begun before them: a service, and a browser, take seconds to start. */

import type { TestProject } from 'vitest/node';

import { hasChromium, launchServer } from './pages.mjs';
import { freePort, serve } from './service.js';

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const ports = [await freePort(), await freePort()];
  const [origin, second] = ports.map((port) => `http://127.0.0.1:${port}`) as [string, string];
  const [service, browser] = await Promise.all([
    serve({ ACCESS_TOKEN_TTL: '2', REFRESH_ROTATION: 'always', CORS_ORIGINS: `${origin},${second}` }),
    hasChromium ? launchServer() : undefined,
  ]);
  project.provide('service', service.place);
  project.provide('browser', browser?.wsEndpoint() ?? '');
  project.provide('origin', origin);
  project.provide('second', second);
  return async () => {
    await browser?.close();
    await service.end();
  };
}

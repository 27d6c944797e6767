/** Programs as processes of their own: begun, talked to, waited for. */

import { spawn, type ChildProcess } from 'node:child_process';
import { text } from 'node:stream/consumers';

const FOLDER = new URL('programs/', import.meta.url).pathname;

export interface Program {
  readonly process: ChildProcess;
  /** What it printed, once it has ended; rejects with what it complained of. */
  readonly said: Promise<string>;
}

export function begin(name: string, args: readonly string[], input: string = ''): Program {
  const process = spawn('node', [`${FOLDER}${name}.mjs`, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
  process.stdin.end(input);
  const ended = new Promise<number | null>((resolve) => process.once('exit', resolve));
  const said = Promise.all([text(process.stdout), text(process.stderr), ended]).then(([out, err, code]) => {
    if (code !== 0) throw new Error(`${name} ended with ${code}: ${err}`);
    return out;
  });
  said.catch(() => {});
  return { process, said };
}

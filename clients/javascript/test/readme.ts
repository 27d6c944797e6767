/** The fences of the README, each a module of its own. */

import { readFileSync } from 'node:fs';

export interface Fence {
  readonly line: number;
  /** Where it is run: the word behind the language. */
  readonly place: string;
  readonly code: string;
}

export function fences(): Fence[] {
  const text = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  return [...text.matchAll(/^```(\w+) ?(\w*)\n(.*?)^```$/gms)].map(({ 1: language, 2: place, 3: code, index }) => {
    if (language !== 'js') throw new Error(`nobody runs ${language}`);
    return { line: text.slice(0, index).split('\n').length, place: place || 'node', code: code! };
  });
}

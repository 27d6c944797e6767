/** How large a page becomes by what it imports: bundled and minified as bundlers do it. */

import { gzipSync } from 'node:zlib';

import { rolldown } from 'rolldown';

const PACKAGE = new URL('..', import.meta.url).pathname;

/** Bytes, gzipped, of a module that says this. */
export async function sizeOf(code: string): Promise<number> {
  const bundle = await rolldown({
    input: 'page',
    external: ['jose', /^node:/],
    plugins: [
      {
        name: 'page',
        resolveId: (id) => {
          if (id === 'page') return id;
          const entry = /^gatebook-client(?:\/(\w+))?$/.exec(id);
          return entry ? `${PACKAGE}dist/${entry[1] ?? 'index'}.js` : undefined;
        },
        load: (id) => (id === 'page' ? code : undefined),
      },
    ],
  });
  const { output } = await bundle.generate({ format: 'esm', minify: true });
  return gzipSync(output.map((each) => ('code' in each ? each.code : '')).join(''), { level: 9 }).length;
}

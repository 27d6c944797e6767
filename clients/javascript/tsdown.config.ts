import { defineConfig, type UserConfig } from 'tsdown';

const config: UserConfig[] = defineConfig([
  {
    entry: { index: 'src/index.ts', browser: 'src/browser.ts', node: 'src/node.ts', verify: 'src/verify/index.ts' },
    format: 'esm',
    platform: 'neutral',
    target: 'es2022',
    outExtensions: () => ({ js: '.js', dts: '.d.ts' }),
    tsconfig: 'tsconfig.build.json',
    dts: { oxc: true },
    minify: true,
    deps: { neverBundle: ['jose', /^node:/] },
  },
]);

export default config;

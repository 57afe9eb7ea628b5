// `npm run studio`: Studio's page and its libraries from npm as ES modules in fanlight/web/studio/dist. The
// runtime (fanlight.js, train.js, ...) stays outside: a folder that Studio is written to has it once.
import { build } from 'esbuild';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { dirname, join } from 'node:path';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const from = join(root, 'fanlight/web/studio');
const to = join(from, 'dist');

/**
 * `../runtime/train.js` is `./train.js` beside the page, and so is `../pages/register.js`. Errors are inside: a page
 * that needs nothing else of the runtime yet does not fetch it for them.
 */
const runtime = {
  name: 'runtime',
  setup: ({ onResolve }) => onResolve({ filter: /^\.\.\/(\.\.\/)?(runtime\/\w+|pages\/register)\.js$/ }, ({ path }) => (
    path.endsWith('/errors.js') ? undefined : { path: `./${path.split('/').pop()}`, external: true })),
};

/**
 * uPlot wakes Intl, which takes 20 ms, as it is loaded, for texts that we make ourselves:
 * it shall do so when they are asked for.
 */
const LATE = [
  ["const numFormatter = new Intl.NumberFormat(domEnv ? nav.language : 'en-US');", 'let numFormatter;'],
  ['const fmtNum = val => numFormatter.format(val);',
    "const fmtNum = val => (numFormatter ??= new Intl.NumberFormat(domEnv ? nav.language : 'en-US')).format(val);"],
  ['const localTz = new Intl.DateTimeFormat().resolvedOptions().timeZone;', ''],
  ['tz == localTz', 'tz == new Intl.DateTimeFormat().resolvedOptions().timeZone'],
];
const lateIntl = {
  name: 'late-intl',
  setup: ({ onLoad }) => onLoad({ filter: /uPlot\.esm\.js$/ }, async ({ path }) => {
    let contents = await readFile(path, 'utf-8');
    for (const [before, after] of LATE) {
      if (contents.split(before).length !== 2) throw new Error(`uPlot has changed: it has not once ${before}`);
      contents = contents.replace(before, () => after);
    }
    return { contents };
  }),
};

await rm(to, { recursive: true, force: true });
await mkdir(to, { recursive: true });
const { metafile } = await build({
  absWorkingDir: root,
  entryPoints: { studio: join(from, 'main.js'), transfer: join(from, 'transfer.js') },
  outdir: to,
  bundle: true,
  splitting: true,
  format: 'esm',
  target: 'es2022',
  minify: true,
  legalComments: 'none', // LICENSES.txt has them
  chunkNames: 'studio-[name]-[hash]',
  conditions: ['production'],
  metafile: true,
  loader: { '.css': 'text' }, // of libraries: adopted by the elements that use them
  plugins: [runtime, lateIntl],
  logLevel: 'warning',
});

// The worker of photos: one script that imports nothing, which a page in one file can hold, too.
await build({
  absWorkingDir: root,
  entryPoints: [join(from, 'imaging.js')],
  outdir: to,
  bundle: true,
  format: 'iife',
  target: 'es2022',
  minify: true,
  legalComments: 'none',
  logLevel: 'warning',
});

// The page in one file: one script, with the runtime inside.
await build({
  absWorkingDir: root,
  entryPoints: [join(from, 'one_file.js')],
  outdir: to,
  bundle: true,
  format: 'esm',
  target: 'es2022',
  minify: true,
  legalComments: 'none',
  conditions: ['production'],
  loader: { '.css': 'text' },
  plugins: [lateIntl],
  logLevel: 'warning',
});

// The licences of what is inside, whole.
const packages = [...new Set(Object.keys(metafile.inputs)
  .map((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1]).filter(Boolean))].sort();
const parts = await Promise.all(packages.map(async (name) => {
  const folder = join(root, 'node_modules', name);
  const { version, license } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf-8'));
  const text = await readFile(join(folder, 'LICENSE'), 'utf-8').catch(() => '');
  return `${name} ${version} (${license})\n\n${text.trim()}\n`;
}));
await writeFile(join(to, 'LICENSES.txt'), parts.join('\n---\n\n'));

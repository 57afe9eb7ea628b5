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
  plugins: [runtime],
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

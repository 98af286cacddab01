/**
 * Builds the Worker as a deployment would, but deploys nothing and needs no network. Prints its
 * size. Fails if the Worker contains something that the edge must never import, directly or
 * indirectly.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';

const ROOT = path.join(import.meta.dirname, '..');
const WRANGLER = path.join(
  path.dirname(createRequire(import.meta.url).resolve('wrangler/package.json')),
  'bin/wrangler.js',
);
const FORBIDDEN = /(^|\/)(onnxruntime[^/]*|gpu-backend|training|lab|cli)\//;

const out = await mkdtemp(path.join(tmpdir(), 'plimsoll-worker-'));
try {
  const child = spawn(process.execPath, [WRANGLER, 'deploy', '--dry-run', '--outdir', out, '--metafile'], {
    cwd: ROOT,
    env: {
      ...process.env,
      WRANGLER_SEND_METRICS: 'false',
      WRANGLER_HIDE_BANNER: 'true',
      WRANGLER_LOG_PATH: path.join(out, 'logs'),
      CLOUDFLARE_CF_FETCH_ENABLED: 'false',
    },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`wrangler ended with code ${code}`);

  const { inputs } = JSON.parse(await readFile(path.join(out, 'bundle-meta.json'), 'utf8')) as { inputs: object };
  const wrong = Object.keys(inputs).filter((input) => FORBIDDEN.test(input));
  if (wrong.length > 0) throw new Error(`the edge must not import ${wrong.join(', ')}`);

  let all = 0;
  for (const name of await readdir(out)) {
    if (!/\.(js|bin)$/.test(name)) continue;
    const bytes = await readFile(path.join(out, name));
    const zipped = gzipSync(bytes).length;
    all += zipped;
    console.log(`${kilobytes(bytes.length)}  ${kilobytes(zipped)} gz  ${name.replace(/^[0-9a-f]{40}-/, '')}`);
  }
  console.log(`the Worker: ${Object.keys(inputs).length} modules, ${kilobytes(all).trim()} gz`);
} finally {
  await rm(out, { recursive: true, force: true });
}

function kilobytes(bytes: number): string {
  return `${(bytes / 1024).toFixed(1).padStart(8)} KB`;
}

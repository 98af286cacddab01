/**
 * `npm run check`: everything that can be checked without running the code. All steps run, even if
 * one fails, and each step is timed.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import path from 'node:path';

const ROOT = path.join(import.meta.dirname, '..');
const resolve = createRequire(import.meta.url).resolve;
const TSC = path.join(path.dirname(resolve('typescript/package.json')), 'bin/tsc');
const BIOME = path.join(path.dirname(resolve('@biomejs/biome/package.json')), 'bin/biome');

const KNIP = path.join(ROOT, 'node_modules/knip/bin/knip.js');

const STEPS: Record<string, string[]> = {
  'types, for Node': [TSC, '--project', '.'],
  'types, for the Worker': [TSC, '--project', 'workers'],
  'types, for the browser': [TSC, '--project', 'workers/console'],
  'types, of the launcher': [TSC, '--project', 'scripts'],
  'lint and format': [BIOME, 'check', '--error-on-warnings'],
  'the house: who imports whom': [path.join(import.meta.dirname, 'house/main.ts'), '--check'],
  'dead exports and packages': [KNIP],
};

const HINTS: Record<string, string> = {
  'lint and format': 'npm run format puts the format right',
  'dead exports and packages':
    'delete what nobody imports, or stop exporting it; `@public` marks what only tests use yet',
};

let failed = 0;
for (const [name, command] of Object.entries(STEPS)) {
  const began = performance.now();
  const child = spawn(process.execPath, command, { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'] });
  const [code] = await once(child, 'close');
  if (code !== 0) failed++;
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  const hint = code !== 0 && name in HINTS ? `: ${HINTS[name]}` : '';
  console.log(`${code === 0 ? 'ok    ' : 'FAILED'} ${name} (${seconds} s)${hint}`);
}
process.exitCode = failed === 0 ? 0 : 1;

/**
 * Packages that only some tests and benchmarks need have a folder and a lockfile of their own. They
 * are installed when they are first needed, and `npm start` never installs them.
 */
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

const UNREACHABLE = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT/;

/**
 * Makes `folder`/node_modules match its lockfile. Returns why npm cannot reach its registry, if it
 * cannot. Throws if the install fails for another reason.
 */
export async function installOwnPackages(folder: string): Promise<string | undefined> {
  const wanted = `${process.platform}-${process.arch} ${await readFile(path.join(folder, 'package-lock.json'), 'utf8')}`;
  const stamp = path.join(folder, 'node_modules/.installed');
  if ((await readFile(stamp, 'utf8').catch(() => '')) === wanted) return undefined;
  const flags = ['--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', '--fetch-retries=1'];
  try {
    await promisify(execFile)('npm', ['ci', ...flags], { cwd: folder });
  } catch (cause) {
    // execFile's errors have what the command wrote.
    const { stderr = '' } = cause as { stderr?: string };
    if (!UNREACHABLE.test(stderr)) throw cause;
    return `npm cannot reach its registry: ${stderr.trim().split('\n')[0]}`;
  }
  await writeFile(stamp, wanted);
  return undefined;
}

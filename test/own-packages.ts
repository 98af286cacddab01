/**
 * Packages that only some tests and benchmarks need have a folder and a lockfile of their own. They
 * are installed when they are first needed, and `npm start` never installs them.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type FolderLock, lockFolder } from '#gpu-backend/model/lock-folder.ts';

const UNREACHABLE = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT/;
const POLL_MS = 500;

/**
 * Makes `folder`/node_modules match its lockfile. Returns why npm cannot reach its registry, if it
 * cannot. Throws if the install fails for another reason. Waits while another process installs the
 * same packages.
 */
export async function installOwnPackages(folder: string): Promise<string | undefined> {
  const wanted = `${process.platform}-${process.arch} ${await readFile(path.join(folder, 'package-lock.json'), 'utf8')}`;
  const stamp = path.join(folder, 'node_modules/.installed');
  const isThere = async () => (await readFile(stamp, 'utf8').catch(() => '')) === wanted;
  if (await isThere()) return undefined;
  const lock = await lockInstall(folder);
  try {
    if (await isThere()) return undefined;
    const problem = await npmCi(folder);
    if (problem === undefined) await writeFile(stamp, wanted);
    return problem;
  } finally {
    lock.release();
  }
}

/** The lock is outside the folder, so that nothing in the checkout is new. */
async function lockInstall(folder: string): Promise<FolderLock> {
  const name = createHash('sha256').update(path.resolve(folder)).digest('hex').slice(0, 16);
  const place = path.join(tmpdir(), `plimsoll-install-${userInfo().uid}-${name}`);
  await mkdir(place, { recursive: true, mode: 0o700 });
  for (;;) {
    const lock = lockFolder(place);
    if (lock !== null) return lock;
    await sleep(POLL_MS);
  }
}

async function npmCi(folder: string): Promise<string | undefined> {
  const flags = ['--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', '--fetch-retries=1'];
  try {
    await promisify(execFile)('npm', ['ci', ...flags], { cwd: folder });
    return undefined;
  } catch (cause) {
    // execFile's errors have what the command wrote.
    const { stderr = '' } = cause as { stderr?: string };
    if (!UNREACHABLE.test(stderr)) throw cause;
    return `npm cannot reach its registry: ${stderr.trim().split('\n')[0]}`;
  }
}

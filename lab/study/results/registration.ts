/**
 * Ties the answers to the hypotheses that were written before them. The first run of the study puts
 * the digest of the hypotheses file beside the answers. From then on, a file that differs by one
 * byte is refused: by the run, and by the report.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { replaceFile } from '#training/run/write-file.ts';

export const REGISTRATION = 'registration.json';

export const Registration = z.strictObject({
  format: z.literal(1),
  /** SHA-256 of the hypotheses file, in hex. */
  hypotheses: z.string().regex(/^[0-9a-f]{64}$/),
  /** The commit that wrote the file last. null if the folder is no git repository. */
  commit: z.string().nullable(),
  /** ISO 8601, before the first answer. */
  registered: z.string(),
});
export type Registration = z.infer<typeof Registration>;

/** null if nothing was registered in the folder. */
export function readRegistration(dir: string): Registration | null {
  const file = path.join(dir, REGISTRATION);
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return null;
  }
  const parsed = Registration.safeParse(JSON.parse(text));
  if (!parsed.success) throw new Error(`${file}: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}

/**
 * Registers the file for the answers in `dir`, or checks that it is the registered one. Throws if
 * it is another, or if the file lies in a git repository and has changes that are not committed.
 */
export function register(dir: string, { file, digest }: { file: string; digest: string }): Registration {
  const earlier = readRegistration(dir);
  if (earlier !== null) {
    assertRegistered(earlier, { file, digest });
    return earlier;
  }
  const commit = commitOf(file);
  const registration: Registration = {
    format: 1,
    hypotheses: digest,
    commit,
    registered: new Date().toISOString(),
  };
  replaceFile(path.join(dir, REGISTRATION), `${JSON.stringify(registration, null, 2)}\n`);
  return registration;
}

/** Throws unless `registration` is for the file with this digest. */
export function assertRegistered(
  registration: Registration | null,
  { file, digest }: { file: string; digest: string },
): void {
  if (registration === null) {
    throw new Error(`${file}: no hypotheses were registered before these answers; wanted ${REGISTRATION} beside them`);
  }
  if (registration.hypotheses !== digest) {
    throw new Error(
      `${file}: found the digest ${digest}, wanted ${registration.hypotheses}, registered on ${registration.registered}: hypotheses do not change once there are answers`,
    );
  }
}

/** The commit of the file's content; null outside git. Throws if that is not committed. */
function commitOf(file: string): string | null {
  const git = (...words: string[]) =>
    execFileSync('git', words, { cwd: path.dirname(file), encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  const name = path.basename(file);
  let [commit, status] = ['', ''];
  try {
    status = git('status', '--porcelain', '--', name).trim();
  } catch {
    return null;
  }
  // A repository without any commit has no log.
  if (status === '') commit = git('log', '-1', '--format=%H', '--', name).trim();
  if (commit === '' || status !== '') {
    throw new Error(`${file}: found changes that are not committed; wanted a commit before the first answer`);
  }
  return commit;
}

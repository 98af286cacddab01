/**
 * Ties the answers to the hypotheses that were written before them, and to what was to be asked of
 * whom. The first run of the study puts the digest of the hypotheses file and the study's design
 * beside the answers. From then on, a file that differs by one byte is refused, by the run and by
 * the report, and so is another design, by the run.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { replaceFile } from '#training/run/write-file.ts';

export const REGISTRATION = 'registration.json';

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

/** What could turn a verdict if it were chosen after the answers. */
const Design = z.strictObject({
  part: z.string(),
  heldOutTopics: z.boolean(),
  share: z.number(),
  /** Sets of which all topics are asked. */
  whole: z.array(z.string()),
  sets: z.array(z.string()),
  /** SHA-256 of the ids of all questions, in hex. */
  questions: sha256,
  sampling: z.strictObject({ temperature: z.number(), topP: z.number(), seed: z.number(), maxTokens: z.number() }),
  /** SHA-256 of the base's weights, in hex. */
  base: z.string(),
  /** The constant weight of the methods that are matched to the router; null: the default one. */
  matchedWeight: z.number().nullable(),
  /** SHA-256 of the bundle that is asked as it is served, in hex; null: the first seed's own. */
  shipped: z.string().nullable(),
  /**
   * The seeds, in their order, and what each learns from: the digest of a recipe's records, or the
   * number of pairs of the small world. What is served is the first one's.
   */
  seeds: z.array(z.strictObject({ seed: z.number(), from: z.string() })).min(1),
});
export type Design = z.infer<typeof Design>;

export const Registration = z.strictObject({
  format: z.literal(1),
  /** SHA-256 of the hypotheses file, in hex. */
  hypotheses: sha256,
  design: Design,
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

export type Registered = { file: string; digest: string; design: Design };

/**
 * Registers the file and the design for the answers in `dir`, or checks that they are the
 * registered ones. Throws if they are others, or if the file lies in a git repository and has
 * changes that are not committed.
 */
export function register(dir: string, { file, digest, design }: Registered): Registration {
  const earlier = readRegistration(dir);
  if (earlier !== null) {
    assertRegistered(earlier, { file, digest, design });
    return earlier;
  }
  const commit = commitOf(file);
  const registration: Registration = {
    format: 1,
    hypotheses: digest,
    design,
    commit,
    registered: new Date().toISOString(),
  };
  writeRegistration(dir, registration);
  return registration;
}

export function writeRegistration(dir: string, registration: Registration): void {
  replaceFile(path.join(dir, REGISTRATION), `${JSON.stringify(registration, null, 2)}\n`);
}

/** Throws unless `registration` is for the file with this digest, and for this design. */
export function assertRegistered(
  registration: Registration | null,
  { file, digest, design }: Omit<Registered, 'design'> & { design?: Design },
): void {
  if (registration === null) {
    throw new Error(`${file}: no hypotheses were registered before these answers; wanted ${REGISTRATION} beside them`);
  }
  if (registration.hypotheses !== digest) {
    throw new Error(
      `${file}: found the digest ${digest}, wanted ${registration.hypotheses}, registered on ${registration.registered}: hypotheses do not change once there are answers`,
    );
  }
  // Object.keys widens the keys of a closed record to string.
  for (const key of Object.keys(design ?? {}) as (keyof Design)[]) {
    const [found, wanted] = [JSON.stringify(design![key]), JSON.stringify(registration.design[key])];
    if (found === wanted) continue;
    throw new Error(
      `${REGISTRATION}: ${key}: found ${found}, wanted ${wanted}, registered on ${registration.registered}: a study's design does not change once it is registered; begin another one in a new folder`,
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

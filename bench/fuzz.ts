/**
 * The fuzz: inputs at random for everything that reads other people's bytes (bodies, headers, admin
 * calls, hostile backends over HTTP and over WebSockets, messages to a backend, directives,
 * policies, frames, receipts, kept answers). A case fails if something crashes, if the edge answers
 * with a 5xx that is our fault, or if the law of its kind does not hold. What fails is shrunk to
 * the smallest case that still does.
 *
 * The cases are shared out among the kinds by what they cost. A run that was stopped goes on with
 * its seed.
 *
 * Written down before the first run: a crash or two in what was never fuzzed (headers, a hostile
 * backend), and none in what has laws already.
 */
import path from 'node:path';
import { progressBar } from '../cli/options/progress-bar.ts';
import { KIND_NAMES, KINDS, type KindName } from './fuzz/kinds.ts';
import { openProgress, type ProgressFile } from './fuzz/progress-file.ts';
import { shareCases } from './fuzz/share-cases.ts';

export type FuzzFlags = {
  /** Of all kinds together. */
  cases: number;
  /** 0: a new one. */
  seed: number;
  kinds: readonly KindName[] | null;
};

/** What is lost if a run is stopped. Shrinking starts anew with each block. */
const BLOCK_MS = 20_000;
const FOLDER = path.join(import.meta.dirname, '../.plimsoll/fuzz');

/** Returns how many cases of each kind ran. Throws at the end if any failed. */
export async function benchFuzz({ cases, seed: given, kinds }: FuzzFlags): Promise<Record<string, number>> {
  const seed = given === 0 ? 1 + Math.floor(Math.random() * (2 ** 31 - 1)) : given;
  const names = kinds ?? KIND_NAMES;
  const shares = shareCases(cases, Object.fromEntries(names.map((name) => [name, KINDS[name]])));
  console.log(`\nfuzz: ${cases} cases, --seed ${seed} (with it, a run that was stopped goes on)`);
  const progress = await openProgress(FOLDER, seed);
  const failed: string[] = [];
  for (const name of names) {
    const failure = await runKind(name, { cases: shares[name] ?? 0, seed, progress });
    const { cases: held, outcomes } = progress.of(name);
    const listed = Object.entries(outcomes)
      .sort(([, a], [, b]) => b - a)
      .map(([outcome, times]) => `${outcome} ${times}`);
    console.log(`  ${name}: ${held} cases held${failure === null ? '' : ', then one FAILED'} (${listed.join(', ')})`);
    if (failure !== null) failed.push(`${name}: ${failure}`);
  }
  if (failed.length > 0) throw new Error(`the fuzz failed (--seed ${seed}):\n${failed.join('\n\n')}`);
  const ran = Object.fromEntries(names.map((name) => [`fuzz: cases of ${name}`, progress.of(name).cases]));
  const all = Object.values(ran).reduce((sum, count) => sum + count, 0);
  console.log(`  all kinds: ${all} cases held, --seed ${seed}`);
  return { ...ran, 'fuzz: all cases': all };
}

/** Runs what is left of a kind's cases, block by block. Returns what ended it early, or null. */
async function runKind(
  name: KindName,
  { cases, seed, progress }: { cases: number; seed: number; progress: ProgressFile },
): Promise<string | null> {
  if (progress.of(name).cases >= cases) return null;
  const { open, caseMs } = KINDS[name];
  const block = Math.max(1, Math.round(BLOCK_MS / caseMs));
  const kind = await open();
  const bar = progressBar(`fuzz ${name}`, '{value}/{total} cases');
  bar.start(cases, progress.of(name).cases);
  try {
    for (;;) {
      const { cases: held, blocks } = progress.of(name);
      if (held >= cases) return null;
      let done = held;
      const asked = Math.min(block, cases - held);
      // Shrinking runs more cases than were asked for.
      const onCase = () => bar.update(Math.min(++done, cases));
      const result = await kind.run({ cases: asked, seed: seedOf(seed, blocks), onCase });
      if (result.failure !== null) return `${result.failure}\n(block ${blocks} of --seed ${seed})`;
      await progress.add(name, result);
    }
  } finally {
    bar.stop();
    await kind.close();
  }
}

/** A block's own seed. Neighbours must not have cases in common, and 32 bits are what counts. */
function seedOf(seed: number, block: number): number {
  return Math.imul(seed ^ Math.imul(block + 1, 0x9e3779b1), 0x85ebca6b) | 0;
}

/** For `--kinds`. */
export function parseKinds(list: string): KindName[] {
  const isKind = (name: string): name is KindName => Object.hasOwn(KINDS, name);
  return list.split(',').map((name) => {
    if (!isKind(name))
      throw new Error(`--kinds: found ${JSON.stringify(name)}, wanted some of ${KIND_NAMES.join(', ')}`);
    return name;
  });
}

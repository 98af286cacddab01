/**
 * The fuzz: inputs at random for everything that reads other people's bytes (bodies, headers, admin
 * calls, hostile backends, directives, policies, frames, receipts). A case fails if something
 * crashes, if the edge answers with a 5xx that is our fault, or if the law of its kind does not
 * hold. What fails is shrunk to the smallest case that still does.
 *
 * Written down before the first run: a crash or two in what was never fuzzed (headers, a hostile
 * backend), and none in what has laws already.
 */
import { progressBar } from '../cli/options/progress-bar.ts';
import { KIND_NAMES, KINDS, type KindName } from './fuzz/kinds.ts';

export type FuzzFlags = {
  /** Of each kind. */
  cases: number;
  /** 0: a new one. */
  seed: number;
  kinds: readonly KindName[] | null;
};

/** Returns how many cases of each kind ran. Throws at the end if any failed. */
export async function benchFuzz({ cases, seed: given, kinds }: FuzzFlags): Promise<Record<string, number>> {
  const seed = given === 0 ? Math.floor(Math.random() * 2 ** 31) : given;
  console.log(`\nfuzz: ${cases} cases of each kind, --seed ${seed}`);
  const ran: Record<string, number> = {};
  const failed: string[] = [];
  for (const name of kinds ?? KIND_NAMES) {
    const kind = await KINDS[name]();
    const bar = progressBar(`fuzz ${name}`, '{value}/{total} cases');
    bar.start(cases, 0);
    try {
      let done = 0;
      // Shrinking runs more cases than were asked for.
      const onCase = () => bar.update(Math.min(++done, cases));
      const result = await kind.run({ cases, seed, onCase });
      bar.stop();
      ran[`fuzz: cases of ${name}`] = result.cases;
      const outcomes = Object.entries(result.outcomes).sort(([, a], [, b]) => b - a);
      const listed = outcomes.map(([outcome, times]) => `${outcome} ${times}`).join(', ');
      console.log(`  ${name}: ${result.cases} cases, ${result.failure === null ? 'all held' : 'FAILED'} (${listed})`);
      if (result.failure !== null) failed.push(`${name}: ${result.failure}`);
    } finally {
      bar.stop();
      await kind.close();
    }
  }
  if (failed.length > 0) throw new Error(`the fuzz failed (--seed ${seed}):\n${failed.join('\n\n')}`);
  return ran;
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

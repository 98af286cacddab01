/**
 * An earlier sitting of a study, whose answers and runs are no longer at hand, only its file of
 * results. The study goes on from there: what was measured counts, and is not asked again.
 */
import {
  assertRegistered,
  type Design,
  type Registered,
  type Registration,
  readRegistration,
  writeRegistration,
} from './registration.ts';
import type { CellName, Retrained, StudyResults } from './results.ts';
import { readResults } from './results-file.ts';

export type Earlier = {
  file: string;
  results: StudyResults;
  registration: Registration;
  measured: (cell: CellName) => boolean;
};

/**
 * Throws, naming the file, if it is no file of results, if its study was never registered, or if it
 * is about the small world: such a study is made whole.
 */
export function openEarlier(file: string): Earlier {
  const { results, registration } = readResults(file);
  if (registration === null) throw new Error(`${file}: found results that were not registered before their answers`);
  if (results.study !== 'recipes') {
    throw new Error(`${file}: found a study of the small world, wanted one on recipes: make the former anew`);
  }
  const names = new Set(results.cells.map(nameOf));
  return { file, results, registration, measured: (cell) => names.has(nameOf(cell)) };
}

/**
 * The seeds of the earlier registration, each with the recipe that is the very one it learned from,
 * or null. Throws if a recipe is none of them, unless it was trained again and the results may say
 * so.
 *
 * @param retrained whether a recipe of a registered seed may have come out otherwise
 */
export function seedsOfEarlier<T extends { seed: number; from: string; dir: string }>(
  { file, registration }: Earlier,
  recipes: readonly T[],
  { retrained }: { retrained: boolean },
): (Design['seeds'][number] & { recipe: T | null })[] {
  const { seeds } = registration.design;
  for (const { seed, from, dir } of recipes) {
    const wanted = seeds.find((other) => other.seed === seed)?.from;
    if (wanted === from || (retrained && wanted !== undefined)) continue;
    throw new Error(
      `${dir}: found a recipe of seed ${seed} with the digest ${from}, ${file} was measured with ${wanted ?? 'no such seed'}: leave this folder out, or say --retrained`,
    );
  }
  return seeds.map((each) => ({ ...each, recipe: recipes.find(({ seed }) => seed === each.seed) ?? null }));
}

/** Registers in `dir` what the earlier sitting has registered, or checks that it is the same. */
export function goOn(dir: string, { registration }: Earlier, now: Registered): void {
  assertRegistered(registration, now);
  if (readRegistration(dir) === null) writeRegistration(dir, registration);
  assertRegistered(readRegistration(dir), now);
}

/** What readers have added to a judge's figures. Their labels are of the earlier answers. */
const BY_HAND = /^hand labels/;

/**
 * The cells that were answered with recipes which were trained again: those of the earlier sitting
 * and of this one, by seed and digest.
 *
 * @param digests of this sitting's recipes that are not the registered ones, by seed
 * @param cells that this sitting answered
 */
function retrainedCells(
  earlier: StudyResults,
  { digests, cells }: { digests: ReadonlyMap<number, string>; cells: readonly CellName[] },
): Retrained[] | undefined {
  const all = [...(earlier.retrained ?? [])];
  for (const [seed, digest] of digests) {
    const own = cells.filter((cell) => cell.seed === seed).map(({ method, set, depth }) => ({ method, set, depth }));
    if (own.length === 0) continue;
    const before = all.find((other) => other.seed === seed && other.digest === digest);
    if (before === undefined) all.push({ seed, digest, cells: own });
    else all[all.indexOf(before)] = { ...before, cells: [...before.cells, ...own] };
  }
  return all.length === 0 ? undefined : all;
}

/**
 * Both sittings as one. Throws if the answers were not judged alike: what the judges are worth on
 * their own held-out data has to be the same to four digits.
 */
export function withEarlier(
  later: StudyResults,
  { file, results: earlier }: Earlier,
  digests: ReadonlyMap<number, string> = new Map(),
): StudyResults {
  for (const { name, figures } of later.judges) {
    const before = earlier.judges.find((judge) => judge.name === name)?.figures ?? {};
    for (const [figure, value] of Object.entries(figures)) {
      if (BY_HAND.test(figure) || value.toFixed(4) === before[figure]?.toFixed(4)) continue;
      throw new Error(
        `${file}: ${name}: ${figure}: found ${before[figure] ?? 'nothing'}, the judges of now have ${value}: answers that were judged in two ways make no table`,
      );
    }
  }
  const fresh = later.runs.filter(
    ({ name, seed }) => !earlier.runs.some((run) => run.name === name && run.seed === seed),
  );
  // What nobody has answered may have been planned on other runs.
  const answered = new Set(earlier.cells.map(({ method }) => method));
  const tokens = new Map(
    earlier.methods.flatMap(({ id, trainedTokens }) => (answered.has(id) ? [[id, trainedTokens] as const] : [])),
  );
  return {
    ...later,
    methods: later.methods.map((method) => ({
      ...method,
      trainedTokens: tokens.get(method.id) || method.trainedTokens,
    })),
    learnedFrom: earlier.learnedFrom,
    shippedFrom: later.shippedFrom ?? earlier.shippedFrom,
    retrained: retrainedCells(earlier, { digests, cells: later.cells }),
    cells: [...earlier.cells, ...later.cells],
    runs: [...earlier.runs, ...fresh],
    judges: earlier.judges,
    seconds: {
      training: earlier.seconds.training + fresh.reduce((sum, { seconds }) => sum + seconds, 0),
      generating: earlier.seconds.generating + later.seconds.generating,
    },
  };
}

const nameOf = ({ method, set, seed, depth }: CellName) => `${method} ${set} ${seed} ${depth}`;

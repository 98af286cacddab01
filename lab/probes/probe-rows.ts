/**
 * The prompts that a probe learns from, is chosen on and is tested on. They are those of the edge's
 * classifier, with its labels and licences, but they are split as everything else for the served
 * model is split: nothing that a study asks may have trained the probe.
 *
 * - Public prompts go by their words, and the small world's by their topic (`splitOf`).
 * - Prompts written for the classifier are in no other data. They keep the classifier's own split,
 *   which is by phrase and by template, so that neither model has seen the test rows.
 * - The judges' part trains judges only.
 * - Sources whose licence keeps them out of weights only measure: on dev for choices, on test for
 *   figures.
 */

import { assertNoSharedPrompts } from '#training/data/leakage.ts';
import { promptKey } from '#training/data/prompt-key.ts';
import { hashToUnit } from '#training/data/random.ts';
import { contrastPrompts } from '../classifier/contrast-prompts.ts';
import { BENIGN, type Example, HARM_UNKNOWN, type Split } from '../classifier/example.ts';
import { withoutLeaks } from '../classifier/leakage.ts';
import { CONTRAST_SOURCE, LICENCES, OWN_SOURCE, WORLD_SOURCE } from '../classifier/licences.ts';
import { loadContrastCheck } from '../classifier/own-files.ts';
import { ownPrompts } from '../classifier/own-prompts.ts';
import type { PublicPrompts } from '../classifier/read-public.ts';
import { isUnsafe } from '../classifier/targets.ts';
import { type WorldExample, worldPrompts } from '../classifier/world-prompts.ts';
import { nearStricter } from '../split/near-prompts.ts';
import { type Part, splitOf, textKey, topicKey } from '../split/split.ts';
import type { ProbeRecipe } from './recipe.ts';

export type ProbePart = Exclude<Part, 'judge'>;

export type ProbeRow = {
  example: Example;
  part: ProbePart;
  /** The source's licence lets it shape the weights, calibration included. */
  inWeights: boolean;
  /** The edge's classifier has learned from this row. */
  seenByEdge: boolean;
};

/** Pairs that nobody trains on. Not a source of the licence table, so that nobody can. */
export const CHECK_SOURCE = 'Plimsoll contrast check';

const PART_OF: Readonly<Record<Split, ProbePart>> = { train: 'train', calibration: 'dev', heldout: 'test' };

/** In a fixed order, whatever the order of the files. */
export function probeRows(
  { examples, measureOnly }: PublicPrompts,
  { seed, worldShare, mostMeasured }: Pick<ProbeRecipe, 'seed' | 'worldShare' | 'mostMeasured'>,
): ProbeRow[] {
  const ours = [...ownPrompts({ seed }), ...contrastPrompts(), ...worldPrompts({ seed })];
  const edge = withoutLeaks([...examples, ...ours]).examples.filter(
    (example) => example.source !== WORLD_SOURCE || hashToUnit(`probe/${example.text}`) < worldShare,
  );
  const placed = [
    ...edge.map((example) => ({ example, part: partOf(example), inWeights: true })),
    ...measureOnly.map((example) => ({ example, part: splitOf(textKey(example.text)), inWeights: false })),
    ...checkRows(),
  ].filter((row): row is Omit<ProbeRow, 'seenByEdge'> => row.part !== 'judge');
  const apart = withoutNear(placed);
  const kept = apart.filter(({ inWeights, part }) => inWeights || part !== 'train');
  const rows = capped(kept, mostMeasured).map((row) => ({
    ...row,
    seenByEdge: row.inWeights && row.example.split === 'train',
  }));
  assertNoSharedPrompts(rows.map(({ part, example }) => ({ side: part, text: example.text, source: example.source })));
  for (const { example, part, inWeights } of rows) {
    if (part === 'train' && !(inWeights && LICENCES[example.source]?.inWeights)) {
      throw new Error(`"${example.source}" may not shape the weights (lab/classifier/licences.ts)`);
    }
  }
  return rows;
}

function partOf(example: Example | WorldExample): Part {
  if ('topic' in example) return splitOf(topicKey(example.topic));
  const isOurs = example.source === OWN_SOURCE || example.source === CONTRAST_SOURCE;
  return isOurs ? PART_OF[example.split] : splitOf(textKey(example.text));
}

/** Half for choices, half for the end; a template stays together. */
function checkRows(): Omit<ProbeRow, 'seenByEdge'>[] {
  return loadContrastCheck().flatMap(({ template, pairs }) => {
    const part: ProbePart = hashToUnit(`probe/check/${template}`) < 0.5 ? 'dev' : 'test';
    const row = (text: string, unsafe: boolean) => ({
      example: {
        text,
        source: CHECK_SOURCE,
        split: 'heldout' as const,
        targets: unsafe ? HARM_UNKNOWN : BENIGN,
        someHarm: unsafe,
        weight: 1,
        scary: !unsafe,
      },
      part,
      inWeights: false,
    });
    return pairs.flatMap(({ safe, unsafe }) => [row(safe, false), row(unsafe, true)]);
  });
}

/**
 * Without rows in the same or nearly the same words as a row of a stricter part. Pairs in nearly
 * the same words are the point of the contrast prompts: only equal words count there. So they do in
 * the small world, whose topics share their wordings.
 */
function withoutNear<Row extends Omit<ProbeRow, 'seenByEdge'>>(rows: readonly Row[]): Row[] {
  const strict: Record<ProbePart, number> = { test: 0, dev: 1, train: 2 };
  const strictest = new Map<string, number>();
  for (const { part, example } of rows) {
    const key = promptKey(example.text);
    strictest.set(key, Math.min(strictest.get(key) ?? 3, strict[part]));
  }
  const alike = ({ example: { source } }: Row) =>
    source === WORLD_SOURCE || source === CONTRAST_SOURCE || source === OWN_SOURCE || source === CHECK_SOURCE;
  const others = rows.filter((row) => !alike(row));
  const near = nearStricter(others.map(({ example: { text }, part }) => ({ text, part })));
  const leaves = new Set(others.filter((_, i) => near[i]));
  return rows.filter((row) => !leaves.has(row) && strictest.get(promptKey(row.example.text)) === strict[row.part]);
}

/** At most so many of each side of a source that only measures. A hash picks which. */
function capped<Row extends Omit<ProbeRow, 'seenByEdge'>>(rows: readonly Row[], most: number): Row[] {
  const taken = new Map<string, number>();
  const order = rows
    .map((row, i) => ({ row, i, place: row.inWeights ? 0 : hashToUnit(`measured/${row.example.text}`) }))
    .toSorted((a, b) => a.place - b.place || a.i - b.i);
  const leaves = new Set<Row>();
  for (const { row } of order) {
    if (row.inWeights || row.example.source === CHECK_SOURCE) continue;
    const key = `${row.part}/${row.example.source}/${isUnsafe(row.example)}`;
    const count = (taken.get(key) ?? 0) + 1;
    taken.set(key, count);
    if (count > most) leaves.add(row);
  }
  return rows.filter((row) => !leaves.has(row));
}

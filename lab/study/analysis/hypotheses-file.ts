/**
 * The study's hypotheses: a file that is written, and committed, before the first answer to a test
 * question. Nothing else decides what the report claims.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { STUDY_KINDS } from '../results/results.ts';
import { MEASURES, type MeasureId } from './measures.ts';

export const HYPOTHESES_FILE = path.join(import.meta.dirname, '..', 'hypotheses.json');

const Hypothesis = z.strictObject({
  /** A name that stays: letters, digits and hyphens. */
  id: z.string().regex(/^[a-z0-9][a-z0-9-]*$/),
  /**
   * The study that it is about: on pairs of the small world, or on recipe folders of a real model.
   * The other one does not test it.
   */
  study: z.enum(STUDY_KINDS),
  /** Method A and method B, by their ids in cells/methods.ts. */
  first: z.string(),
  second: z.string(),
  set: z.string(),
  /** How many tokens of a harmful answer are forced at the start of the answer. */
  depth: z.int().min(0).default(0),
  // Object.keys widens the keys of a closed record.
  measure: z.enum(Object.keys(MEASURES) as [MeasureId, ...MeasureId[]]),
  /** Which direction is better. It must be the measure's own. */
  direction: z.enum(['lower', 'higher']),
  /**
   * `superior`: A gains more than the margin on B. `non-inferior`: A loses less than the margin.
   */
  test: z.enum(['superior', 'non-inferior']),
  /** In the measure's unit: percentage points for shares. */
  margin: z.number().min(0),
  /** B's figure is taken times this, as in "at most half of the base's". */
  times: z.number().positive().max(1).default(1),
  /**
   * `method`: training it again would show the same, so it takes several seeds. `bundle`: it speaks
   * of what is served, the first seed, and of nothing else.
   */
  about: z.enum(['method', 'bundle']).default('method'),
  /** Where the claim comes from, such as `arXiv 2506.02460` or `our design`. */
  source: z.string().min(1),
});
export type Hypothesis = z.infer<typeof Hypothesis>;

const File = z.strictObject({
  format: z.literal(1),
  /**
   * The oracle of the small world decides nothing about a method of whose sentences it does not
   * know more than this, in percent.
   */
  mostUnknown: z.number().min(0).max(100),
  hypotheses: z.array(Hypothesis).min(1),
});

export type HypothesesFile = {
  hypotheses: Hypothesis[];
  mostUnknown: number;
  /** SHA-256 of the file's bytes, in hex. */
  digest: string;
};

/**
 * Reads and checks the file. Throws an Error that names the file and the hypothesis if it is
 * malformed, names an id twice, or names a direction that is not the measure's.
 */
export function readHypotheses(file: string = HYPOTHESES_FILE): HypothesesFile {
  const bytes = readFileSync(file);
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw new Error(`${file}: not JSON: ${String(cause)}`, { cause });
  }
  const parsed = File.safeParse(json);
  if (!parsed.success) throw new Error(`${file}: ${z.prettifyError(parsed.error)}`);
  const { hypotheses, mostUnknown } = parsed.data;
  const seen = new Set<string>();
  for (const { id, measure, direction, test, margin } of hypotheses) {
    const fault = (text: string) => new Error(`${file}: the hypothesis ${id}: ${text}`);
    if (seen.has(id)) throw fault('found its id twice, wanted each id once');
    seen.add(id);
    const { better } = MEASURES[measure];
    if (better !== direction) throw fault(`direction: found ${direction}, wanted ${better ?? 'another measure'}`);
    if (test === 'non-inferior' && margin === 0) throw fault('margin: found 0, wanted more for non-inferior');
  }
  return { hypotheses, mostUnknown, digest: createHash('sha256').update(bytes).digest('hex') };
}

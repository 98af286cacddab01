/** A row of the engine's table: what it measures, against what, and what came of it. */
import * as z from 'zod';
import type { BenchModel } from './models.ts';

export type Setting = {
  model: BenchModel;
  rounds: number;
  /** Tokens of each answer, where a row does not need more. */
  tokens: number;
  /** Threads of each contender. */
  threads: number;
  /** Where a row may put files of its own. */
  dir: string;
};

/** A ratio of one run. */
const Figure = z.strictObject({
  name: z.string(),
  against: z.string(),
  ratio: z.number(),
  /** Written down before measuring. */
  expected: z.string(),
  reach: z.number().nullable(),
  better: z.enum(['lower', 'higher']),
});
export type Figure = z.infer<typeof Figure>;

/** Raw values, one a round. */
const Values = z.strictObject({ name: z.string(), values: z.array(z.number()), median: z.number() });
const Table = z.strictObject({ title: z.string(), unit: z.string(), measured: z.array(Values).readonly() });
export type Table = z.infer<typeof Table>;

/** A point of a plot: `x` and `y` of the line `name`. */
const Point = z.strictObject({ name: z.string(), x: z.number(), y: z.number() });
export type Point = z.infer<typeof Point>;

export const RowResult = z.strictObject({
  figures: z.array(Figure),
  tables: z.array(Table),
  /** By the plot's name. */
  points: z.record(z.string(), z.array(Point)),
  /** In sentences: what else was seen. */
  notes: z.array(z.string()),
});
export type RowResult = z.infer<typeof RowResult>;

export type Row = {
  /** In one line. */
  title: string;
  run(setting: Setting): Promise<RowResult>;
};

/** What a row returns, without the parts that it has none of. */
export function result(parts: Partial<RowResult>): RowResult {
  return { figures: [], tables: [], points: {}, notes: [], ...parts };
}

export function reached({ ratio, reach, better }: Figure): boolean | null {
  if (reach === null) return null;
  return better === 'lower' ? ratio <= reach : ratio >= reach;
}

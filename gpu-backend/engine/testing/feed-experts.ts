/** Helpers for driver tests: they make ids, feed a sequence, and read a row by id. */
import { logSoftmax } from '#shared/gate/index.ts';
import type { Experts, Output, Row, SequenceId, Step } from '../experts.ts';

/** A step without its sequence, which comes from `open`. */
export type Fed = Omit<Step, 'sequence'>;

/** Some tokens; another seed gives others. */
export const someIds = (count: number, seed = 0) =>
  Array.from({ length: count }, (_, i) => 10 + ((i * 37 + seed * 53) % 180));

/** Feeds one sequence and waits. */
export async function feed(experts: Experts, sequence: SequenceId, fed: readonly number[] | Fed): Promise<Output> {
  const [output] = experts.append([{ sequence, ...('ids' in fed ? fed : { ids: fed }) }]) as [Promise<Output>];
  return output;
}

/** The log-probabilities of all ids in the row, by id. */
export function byId(row: Row): Map<number, number> {
  if ('logits' in row) return new Map(logSoftmax(row.logits)!.entries());
  return new Map(Array.from(row.ids, (id, i) => [id, row.logprobs[i]!]));
}

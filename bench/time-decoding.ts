/** Times decoding steps after one prompt, for the benchmarks of experts and routers. */

import type { Experts, Output, Source, Step } from '#gpu-backend/engine/experts.ts';
import type { BundleHead } from '#gpu-backend/model/load-bundle.ts';

export type DecodingBench = { bundleDir: string; tokens: number; rounds: number };

const PROMPT = 'How do I clean bathroom tiles with bleach?';

/** A sequence's source, and what its steps ask for. */
export type Timed = { source: Source } & Pick<Step, 'bounds' | 'want'>;

/**
 * Measures the milliseconds per step. A step is one run for all sequences, and then `onStep` with
 * its outputs. Closes the sequences at the end.
 */
export async function timeDecoding(
  experts: Experts,
  {
    bundle,
    sequences,
    tokens,
    onStep = () => {},
  }: {
    bundle: BundleHead;
    sequences: readonly Timed[];
    tokens: number;
    onStep?: (outputs: readonly Output[]) => void;
  },
): Promise<number> {
  const prompt = bundle.renderChat([{ role: 'user', content: PROMPT }]);
  const open = sequences.map(({ source, ...asked }) => ({ sequence: experts.open(source), ...asked }));
  const feed = (ids: readonly number[]) => Promise.all(experts.append(open.map((one) => ({ ...one, ids }))));
  await feed(prompt);
  const startedAt = performance.now();
  for (let i = 0; i < tokens; i++) onStep(await feed(prompt.slice(0, 1)));
  const perStep = (performance.now() - startedAt) / tokens;
  for (const { sequence } of open) experts.close(sequence);
  return perStep;
}

/** `1 answer at once`, `4 answers at once`. */
export function atOnce(answers: number): string {
  return `${answers} ${answers === 1 ? 'answer' : 'answers'} at once`;
}

/** Steps of decoding on the row model, timed, after one prompt: what the benchmarks of experts and of routers both measure. */

import type { RowOutput, RowSource } from '#gpu-backend/engine/experts.ts';
import type { OnnxExperts } from '#gpu-backend/engine/onnx-experts.ts';
import type { BundleHead } from '#gpu-backend/model/load-bundle.ts';

export type DecodingBench = { bundleDir: string; tokens: number; rounds: number };

const PROMPT = 'How do I clean bathroom tiles with bleach?';

/** Milliseconds a step: one run for all rows, and then `onStep` with what they said. The rows leave the batch at the end. */
export async function timeDecoding(
  rows: OnnxExperts,
  {
    bundle,
    sources,
    tokens,
    onStep = () => {},
  }: {
    bundle: BundleHead;
    sources: readonly RowSource[];
    tokens: number;
    onStep?: (outputs: readonly RowOutput[]) => void;
  },
): Promise<number> {
  const ids = bundle.renderChat([{ role: 'user', content: PROMPT }]);
  await rows.add(sources.map((source) => ({ source, ids })));
  const startedAt = performance.now();
  for (let i = 0; i < tokens; i++) onStep(await rows.advance(sources.map((source) => ({ source, id: ids[0]! }))));
  const perStep = (performance.now() - startedAt) / tokens;
  rows.keep([]);
  return perStep;
}

/** `1 answer at once`, `4 answers at once` */
export function atOnce(answers: number): string {
  return `${answers} ${answers === 1 ? 'answer' : 'answers'} at once`;
}

/**
 * What the second expert costs. We compare a token of a two-expert answer (two rows, one run) with
 * a token of one expert, and with two separate runs of one row each. Written down before measuring:
 * 1.05 to 1.3 times one expert, 0.5 to 0.7 times two runs.
 */
import { OnnxExperts } from '#gpu-backend/engine/onnx-experts.ts';
import { loadBundle } from '#gpu-backend/model/load-bundle.ts';
import type { ExpertRole } from '#gpu-backend/model/manifest.ts';
import { alternate, medianRatio, printMeasured } from './harness/measure.ts';
import { atOnce, type DecodingBench, timeDecoding } from './time-decoding.ts';

/**
 * Measures the milliseconds per decoded token after a prompt, for one, several and many answers in
 * the batch.
 */
export async function benchTwoExperts({ bundleDir, tokens, rounds }: DecodingBench) {
  const bundle = await loadBundle(bundleDir);
  const experts = await OnnxExperts.create(bundle);
  const decode = (sources: ExpertRole[]) =>
    timeDecoding(experts, { bundle, tokens, sequences: sources.map((source) => ({ source })) });
  const summary: Record<string, number> = {};
  for (const answers of [1, 4, 8]) {
    const times = (values: ExpertRole[]) => Array.from({ length: answers }, () => values).flat();
    const measured = await alternate(
      [
        { name: 'one expert', run: () => decode(times(['safety'])) },
        { name: 'two experts, one run', run: () => decode(times(['safety', 'helpfulness'])) },
        {
          name: 'two experts, two runs',
          run: async () => (await decode(times(['safety']))) + (await decode(times(['helpfulness']))),
        },
      ],
      { rounds },
    );
    console.log(`\ndecoding ${tokens} tokens, ${atOnce(answers)} (ms a step, graph alone)`);
    printMeasured(measured, 'ms');
    const [one, together, apart] = measured;
    summary[`${answers} at once: two experts / one expert`] = medianRatio(together, one);
    summary[`${answers} at once: two experts in one run / in two runs`] = medianRatio(together, apart);
  }
  await experts.dispose();
  return summary;
}

/**
 * What the gate costs an answer, in the plain and in the fast version: from two rows of logits to a
 * drawn token with its account, as an answer without a trace asks for it. A trace also wants what
 * the experts themselves give the token, so the fast version is measured with that too.
 *
 * Written down before measuring: the fast version takes 0.35 ms an answer for 49,152 tokens and
 * 0.06 ms for 4,096, and one and eight answers' gates are at most 5 % of a step of the bundle.
 */
import type { Output } from '#gpu-backend/engine/experts.ts';
import { OnnxExperts } from '#gpu-backend/engine/onnx-experts.ts';
import { loadBundle } from '#gpu-backend/model/load-bundle.ts';
import { createGate, type Gate } from '#shared/gate/fast/create-gate.ts';
import { longRows } from '#shared/gate/fast/testing/long-rows.ts';
import { type GatePolicy, type SamplingParams, seedKey, startGate } from '#shared/gate/index.ts';
import { alternate, median, printMeasured, type Variant } from './harness/measure.ts';
import { atOnce, timeDecoding } from './time-decoding.ts';

const VOCABULARIES = [4096, 49_152, 151_936];

/** Steps in one round, so that a round of the smallest vocabulary is not over in microseconds. */
const STEPS = 20;

/** Both experts' logits for the next token of one answer. */
type GateRows = { safetyLogits: Float32Array; helpfulLogits: Float32Array };

type GateSetting = { sampling: Omit<SamplingParams, 'key'>; budget: number | null; ownLogprobs?: boolean };

/** What an answer may ask for. The small budget binds at every token, the large one at none. */
const GATE_SETTINGS: Readonly<Record<string, GateSetting>> = {
  'temperature 1': { sampling: { temperature: 1, topP: 1 }, budget: null },
  'temperature 1, a budget that binds': { sampling: { temperature: 1, topP: 1 }, budget: 0.05 },
  'temperature 1, a budget that does not': { sampling: { temperature: 1, topP: 1 }, budget: 20 },
  'temperature 0.7, top-p 0.9': { sampling: { temperature: 0.7, topP: 0.9 }, budget: null },
  'temperature 0.7, top-p 0.9, a budget that binds': { sampling: { temperature: 0.7, topP: 0.9 }, budget: 0.05 },
  'greedy, a budget that does not bind': { sampling: { temperature: 0, topP: 1 }, budget: 20 },
};

const POLICY: GatePolicy = {
  floor: 0.3,
  ceiling: 1,
  opening: { tokens: 0, floor: 0 },
  rule: 'geometric',
  budget: null,
  earned: null,
};

/** The versions, to be measured in turn. A round gives microseconds per answer. */
function gateVariants(rows: readonly GateRows[], setting: GateSetting) {
  return [
    timed('plain', createGate(null), rows, setting),
    timed('fast', createGate(), rows, setting),
    timed('fast, traced', createGate(), rows, { ...setting, ownLogprobs: true }),
  ] as const;
}

function timed(
  name: string,
  gate: Gate,
  rows: readonly GateRows[],
  { sampling, budget, ownLogprobs = false }: GateSetting,
): Variant {
  const policy = { ...POLICY, budget };
  return {
    name,
    async run() {
      const steps = Math.max(1, Math.round(STEPS / rows.length));
      const startedAt = performance.now();
      for (let i = 0; i < steps; i++) {
        const rest = { policy, proposal: 0.4, sampling: { ...sampling, key: seedKey(i) }, state: startGate() };
        for (const row of rows) gate.step({ ...row, ...rest, ownLogprobs });
      }
      return ((performance.now() - startedAt) / (steps * rows.length)) * 1000;
    },
  };
}

/** Measures made-up rows of three vocabularies, and the rows and the steps of a bundle. */
export async function benchGate({ bundleDir, tokens, rounds }: { bundleDir: string; tokens: number; rounds: number }) {
  const summary: Record<string, number> = {};
  for (const vocabulary of VOCABULARIES) {
    const rows = Array.from({ length: 4 }, (_, seed) => longRows(vocabulary, seed));
    for (const [name, setting] of Object.entries(GATE_SETTINGS)) {
      const [plain, fast, traced] = await alternate(gateVariants(rows, setting), { rounds });
      console.log(`\n${vocabulary} tokens, ${name} (µs an answer)`);
      printMeasured([plain, fast, traced], 'µs');
      summary[`gate, ${vocabulary}, ${name}: plain / fast`] = median(
        plain.values.map((value, i) => value / fast.values[i]!),
      );
    }
  }
  return { ...summary, ...(await benchGateShare({ bundleDir, tokens, rounds })) };
}

/**
 * The gates of one and of eight answers, as a share of the step that makes their rows.
 *
 * @public for benchmarks of other bundles
 */
export async function benchGateShare({
  bundleDir,
  tokens,
  rounds,
}: {
  bundleDir: string;
  tokens: number;
  rounds: number;
}): Promise<Record<string, number>> {
  const bundle = await loadBundle(bundleDir);
  const experts = await OnnxExperts.create(bundle);
  const summary: Record<string, number> = {};
  for (const answers of [1, 8]) {
    const sequences = Array.from({ length: answers }, () => [
      { source: 'safety' as const },
      { source: 'helpfulness' as const },
    ]).flat();
    let last: readonly Output[] = [];
    const step = async () =>
      await timeDecoding(experts, { bundle, tokens, sequences, onStep: (outputs) => (last = outputs) });
    await step();
    const rows = pairs(last);
    for (const [name, setting] of Object.entries(GATE_SETTINGS)) {
      const [plain, fast, traced, steps] = await alternate(
        [...gateVariants(rows, setting), { name: 'step', run: async () => (await step()) * 1000 }],
        { rounds },
      );
      console.log(`\n${bundleDir}, ${atOnce(answers)}, ${name} (µs an answer; µs a step)`);
      printMeasured([plain, fast, traced, steps], 'µs');
      for (const version of [plain, fast, traced]) {
        summary[`gate, ${atOnce(answers)}, ${name}: ${version.name}, % of a step`] = median(
          version.values.map((value, i) => (100 * value * answers) / steps.values[i]!),
        );
      }
    }
  }
  await experts.dispose();
  return summary;
}

/** Copies, since a step may use its rows again. */
function pairs(outputs: readonly Output[]): GateRows[] {
  const logits = outputs.map(({ row }) => {
    if (!('logits' in row)) throw new Error('the gate is measured on whole rows, and this driver gives truncated ones');
    return row.logits.slice();
  });
  return Array.from({ length: logits.length / 2 }, (_, i) => ({
    safetyLogits: logits[2 * i]!,
    helpfulLogits: logits[2 * i + 1]!,
  }));
}

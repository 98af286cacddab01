/**
 * What a second look at the prompt adds to reading it: the same prompt, read by both experts, by a
 * graph that sums no hidden states, by one that could, and by one that does, with the probe asked.
 * And what the graph's sums add to a token of an answer, which never asks for any. The probe is
 * random: what it says does not matter here.
 *
 * A prompt may have thousands of messages of one token. What the probe itself takes for those is
 * set beside what it takes for one message as long.
 *
 * Written down before measuring: 1.00 to 1.02 for a prompt, 0.99 to 1.01 for a token. Half as much
 * to twice as much for many messages.
 */
import type { Experts, SequenceId } from '#gpu-backend/engine/experts.ts';
import { OnnxExperts } from '#gpu-backend/engine/onnx-experts.ts';
import { lookAt, lookSpans, windowsOf } from '#gpu-backend/engine/second-look.ts';
import type { DecoderConfig } from '#gpu-backend/model/config.ts';
import { openBundle } from '#gpu-backend/model/load-bundle.ts';
import type { LookedMessage } from '#gpu-backend/model/looked-messages.ts';
import { type Probe, ProbeHead } from '#gpu-backend/model/probe.ts';
import { JUDGEMENTS } from '#shared/line/categories.ts';
import { createRandom } from '#training/data/random.ts';
import { alternate, type Measured, median, medianRatio, printMeasured } from './harness/measure.ts';

const PROMPT = 512;
const WINDOW = 64;
const DECODED = 16;
/** In a long prompt. */
const TOKENS = 4096;
const SOURCES = ['safety', 'helpfulness'] as const;

export async function benchSecondLook({ bundle, rounds }: { bundle: string; rounds: number }) {
  const opened = await openBundle(bundle);
  const max_position_embeddings = Math.min(1024, opened.config.max_position_embeddings);
  const config = { ...opened.config, max_position_embeddings };
  const random = createRandom('bench/second-look');
  const probe = randomProbe(config, () => random.next() - 0.5);
  const count = Math.min(PROMPT, max_position_embeddings - DECODED - 1);
  const ids = Array.from({ length: count }, () => random.int(Math.floor(config.vocab_size / 8), config.vocab_size - 1));
  const windows = windowsOf([{ from: 4, to: count - 4, last: count - 1 }], WINDOW);

  const plain = await OnnxExperts.create({ ...opened, config, probe: null });
  const probed = await OnnxExperts.create({ ...opened, config, probe });
  const read =
    (experts: Experts, looks = false) =>
    async () => {
      const began = performance.now();
      const open = SOURCES.map((source) =>
        experts.open(source, looks && source === 'safety' ? { sums: lookSpans(windows, probe) } : {}),
      );
      await append(experts, open, ids);
      if (looks) lookAt(probe, windows, experts.sums(open[0]!));
      const ms = performance.now() - began;
      for (const sequence of open) experts.close(sequence);
      return ms;
    };
  const decode = (experts: Experts) => async () => {
    const open = SOURCES.map((source) => experts.open(source, source === 'safety' ? spansOf(experts) : {}));
    await append(experts, open, ids.slice(0, 32));
    const began = performance.now();
    for (let i = 0; i < DECODED; i++) await append(experts, open, [ids[i]!]);
    const ms = (performance.now() - began) / DECODED;
    for (const sequence of open) experts.close(sequence);
    return ms;
  };
  const spansOf = (experts: Experts) => (experts.abilities.sums ? { sums: [{ from: 0, to: 32 }] } : {});

  const [without, unasked, looked] = await alternate(
    [
      { name: 'no probe', run: read(plain) },
      { name: 'a probe that is not asked', run: read(probed) },
      { name: 'looked at', run: read(probed, true) },
    ],
    { rounds },
  );
  const [token, probedToken] = await alternate(
    [
      { name: 'a token, no probe', run: decode(plain) },
      { name: 'a token, a probe', run: decode(probed) },
    ],
    { rounds },
  );
  const [one, many] = await alternate(
    [
      { name: 'asking: one long message', run: asking(probe, config, [{ from: 0, to: TOKENS, last: TOKENS - 1 }]) },
      {
        name: 'asking: many short ones',
        // A token of the template between any two.
        run: asking(
          probe,
          config,
          Array.from({ length: TOKENS / 2 }, (_, i) => ({ from: 2 * i, to: 2 * i + 1, last: 2 * i + 1 })),
        ),
      },
    ],
    { rounds },
  );
  await plain.dispose();
  await probed.dispose();
  console.log(`\na prompt of ${count} tokens, two experts; then tokens of an answer`);
  printMeasured([without, unasked, looked, token, probedToken, one, many], 'ms');
  printAdded('a look adds to the prompt', looked, without);
  printAdded('a probe that is not asked adds', unasked, without);
  printAdded('a probe adds to a token', probedToken, token);
  return {
    'prompt: with a probe that is not asked / without': medianRatio(unasked, without),
    'prompt: looked at / without a probe': medianRatio(looked, without),
    'token: with a probe / without': medianRatio(probedToken, token),
    'asking: many short messages / one long one': medianRatio(many, one),
  };
}

/** As a share of what it takes without, round by round: a claim of 2 % needs more than a ratio. */
function printAdded(name: string, more: Measured, less: Measured): void {
  const shares = more.values.map((value, i) => 100 * (value / less.values[i]! - 1));
  const raw = shares.map((share) => share.toFixed(1)).join(' ');
  console.log(`  ${name}: median ${median(shares).toFixed(1)} %   raw ${raw}`);
}

const append = (experts: Experts, open: readonly SequenceId[], ids: readonly number[]) =>
  Promise.all(experts.append(open.map((sequence) => ({ sequence, ids }))));

/** What windows and probe take for these messages, in ms, without the graph. */
function asking(probe: Probe, { hidden_size }: DecoderConfig, messages: readonly LookedMessage[]) {
  const state = new Float32Array(probe.head.layers.length * hidden_size).fill(0.1);
  return async () => {
    const began = performance.now();
    const windows = windowsOf(messages, WINDOW);
    lookAt(
      probe,
      windows,
      lookSpans(windows, probe).map(() => state),
    );
    return performance.now() - began;
  };
}

/** Reads layers at a half, five and six eighths of the depth. */
function randomProbe({ num_hidden_layers: depth, hidden_size: d }: DecoderConfig, next: () => number): Probe {
  const layers = [...new Set([4, 5, 6].map((eighths) => Math.floor((eighths / 8) * depth)))];
  const numbers = (length: number) => Float32Array.from({ length }, next);
  return {
    version: 'random',
    head: ProbeHead.parse({
      format: 1,
      layers,
      pooling: ['mean', 'last'],
      judgements: JUDGEMENTS,
      window: WINDOW,
      calibration: Object.fromEntries(JUDGEMENTS.map((judgement) => [judgement, { a: 1, b: 0 }])),
      licence: 'CC0-1.0',
      provenance: { description: 'Random numbers.', data: [] },
    }),
    weight: numbers(JUDGEMENTS.length * layers.length * 2 * d),
    bias: numbers(JUDGEMENTS.length),
  };
}

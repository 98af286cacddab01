/**
 * A process with the experts of one bundle and nothing above them: what the model alone costs.
 */
import type { Source } from '#gpu-backend/engine/experts.ts';
import { OnnxExperts } from '#gpu-backend/engine/onnx-experts.ts';
import { openBundle } from '#gpu-backend/model/load-bundle.ts';
import { answerQuestions } from './answer-questions.ts';

let experts: OnnxExperts;

const OPERATIONS = {
  async load({ bundle, threads, context }: { bundle: string; threads: number; context: number }) {
    const opened = await openBundle(bundle);
    const config = { ...opened.config, max_position_embeddings: context };
    experts = await OnnxExperts.create({ ...opened, config }, { threads });
  },

  /**
   * Reads a prompt of `prompt` in a row of each source, then feeds every row one token `steps`
   * times. Returns milliseconds a step.
   */
  async steps({ sources, prompt, steps }: { sources: readonly Source[]; prompt: readonly number[]; steps: number }) {
    const open = sources.map((source) => experts.open(source));
    const feed = (ids: readonly number[], reads: 'prompt' | 'answer') =>
      Promise.all(experts.append(open.map((sequence) => ({ sequence, ids, reads }))));
    await feed(prompt, 'prompt');
    const began = performance.now();
    for (let i = 0; i < steps; i++) await feed([prompt[i % prompt.length]!], 'answer');
    const ms = (performance.now() - began) / steps;
    for (const sequence of open) experts.close(sequence);
    return ms;
  },

  /** Milliseconds to read a prompt in one row. */
  async prefill({ prompt }: { prompt: readonly number[] }) {
    const sequence = experts.open('safety');
    const began = performance.now();
    await Promise.all(experts.append([{ sequence, ids: prompt, reads: 'prompt' }]));
    const ms = performance.now() - began;
    experts.close(sequence);
    return ms;
  },
};
export type ExpertsProgram = typeof OPERATIONS;

answerQuestions(OPERATIONS);

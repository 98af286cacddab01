/**
 * A process in which an engine runs over experts that note how long their steps take. The rest of a
 * step is everything else: the gate, sampling, text, the scheduler and messages. Nothing in the
 * engine knows of it: the experts are wrapped, and the contract is the same.
 */

import { bundleVocabulary } from '#gpu-backend/engine/bundle-vocabulary.ts';
import type { Engine } from '#gpu-backend/engine/engine.ts';
import type { Experts, Step } from '#gpu-backend/engine/experts.ts';
import { startLocalEngine } from '#gpu-backend/engine/local-engine.ts';
import { OnnxExperts } from '#gpu-backend/engine/onnx-experts.ts';
import { expertKinds } from '#gpu-backend/model/expert-kinds.ts';
import { openBundle } from '#gpu-backend/model/load-bundle.ts';
import { answerQuestions } from './answer-questions.ts';
import { type Answers, timeAnswers } from './drive-engine.ts';

let engine: Engine;
/** Of each step since the answers began: its rows, when it began, and when its outputs came. */
let steps: { rows: number; began: number; ended: number }[] = [];

const OPERATIONS = {
  async load({ bundle, threads, context }: { bundle: string; threads: number; context: number }) {
    const opened = await openBundle(bundle);
    const config = {
      ...opened.config,
      max_position_embeddings: Math.min(context, opened.config.max_position_embeddings),
    };
    const served = { ...opened, config };
    engine = await startLocalEngine({
      experts: timed(await OnnxExperts.create(served, { threads })),
      vocabulary: bundleVocabulary(served),
      info: {
        model: served.id,
        contextLength: config.max_position_embeddings,
        maxTokenBytes: served.tokenizer.maxTokenBytes,
        digest: served.digest,
        experts: expertKinds(served),
        provider: 'cpu',
      },
      proposal: served.manifest.default_weight,
    });
  },

  /**
   * Milliseconds a step, all in all and in the experts, over the steps in which every answer gets a
   * token.
   */
  async answers(answers: Answers) {
    steps = [];
    await timeAnswers(engine, answers);
    const whole = steps.filter(({ rows }) => rows === answers.prompts.length * answers.experts);
    // The last step has no successor, and the first ones read prompts.
    const decoding = whole.slice(2);
    const { length } = decoding;
    if (length < 8) throw new Error(`only ${length} steps gave every answer a token: wanted 8`);
    const total = (decoding.at(-1)!.began - decoding[0]!.began) / (length - 1);
    const inExperts = decoding.slice(0, -1).reduce((sum, { began, ended }) => sum + ended - began, 0) / (length - 1);
    return { total, inExperts };
  },
};
export type ShareProgram = typeof OPERATIONS;

/** The same experts; `append` notes its steps of one token a row. */
function timed(experts: OnnxExperts): Experts {
  return new Proxy<Experts>(experts, {
    get(_, name) {
      if (name === 'append') return append;
      // Private fields want the object itself as `this`, not the proxy.
      const value: unknown = Reflect.get(experts, name, experts);
      return typeof value === 'function' ? value.bind(experts) : value;
    },
  });
  function append(asked: readonly Step[]) {
    const began = performance.now();
    const outputs = experts.append(asked);
    if (asked.every(({ ids }) => ids.length === 1)) {
      const note = () => steps.push({ rows: asked.length, began, ended: performance.now() });
      // All outputs of one run come together, and this is called before whoever waits for them.
      void outputs[0]?.then(note, note);
    }
    return outputs;
  }
}

answerQuestions(OPERATIONS);

/**
 * A process with the whole engine of one bundle, as the backend starts it: scheduler, experts and
 * gate in their thread, and a caller in this one.
 */
import type { Engine } from '#gpu-backend/engine/engine.ts';
import { startWorkerEngine } from '#gpu-backend/engine/worker-engine.ts';
import { answerQuestions } from './answer-questions.ts';
import { type Answers, engineRequests, timeAnswer, timeAnswers } from './drive-engine.ts';

let engine: Engine;
/** Tokens of an interrupted answer after the other one has come. */
const AFTER = 30;

const OPERATIONS = {
  async load({
    bundle,
    threads,
    context,
    rows,
    prefixBytes = 0,
  }: {
    bundle: string;
    threads: number;
    context: number;
    rows: number;
    prefixBytes?: number;
  }) {
    const limits = { maxRows: rows, prefixBytes };
    engine = await startWorkerEngine({ dir: bundle, threads, contextLength: context, limits });
  },

  /** When each token of each answer came, and the process's memory after the last, in bytes. */
  async answers(answers: Answers) {
    const times = await timeAnswers(engine, answers);
    return { times, memory: process.memoryUsage.rss() };
  },

  /** Milliseconds until the first answer's first token. */
  async firstToken(answers: Answers) {
    const began = performance.now();
    const [request] = engineRequests(answers, { maxTokens: 1 });
    const [first] = await timeAnswer(engine, request!);
    return first! - began;
  },

  /**
   * One answer runs. After `before` of its tokens, another tenant's prompt arrives, to be answered
   * with one token. When each token of the running answer came, when the prompt arrived, and when
   * its answer did: milliseconds of one clock.
   */
  async interrupted({ running, arriving, before }: { running: Answers; arriving: Answers; before: number }) {
    const [request] = engineRequests(running, { maxTokens: running.tokens });
    const [other] = engineRequests(arriving, { maxTokens: 1 });
    const times: number[] = [];
    let arrived = 0;
    let read: Promise<number[]> | undefined;
    let answered: number | undefined;
    let after = 0;
    for await (const event of engine.generate(request!)) {
      if (event.type !== 'token') continue;
      times.push(performance.now());
      if (times.length === before) {
        arrived = performance.now();
        read = timeAnswer(engine, { ...other!, tenant: 'another' });
        void read.then(([first]) => {
          answered = first;
        });
      }
      if (answered !== undefined && ++after === AFTER) break;
    }
    await read;
    if (answered === undefined) throw new Error(`the answer ended after ${times.length} tokens, wanted ${before}`);
    return { times, arrived, answered };
  },
};
export type EngineProgram = typeof OPERATIONS;

answerQuestions(OPERATIONS);

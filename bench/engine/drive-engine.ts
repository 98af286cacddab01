/** Runs answers through an engine and notes when each token came. */
import type { Engine, EngineRequest } from '#gpu-backend/engine/engine.ts';
import { seedKey } from '#shared/gate/index.ts';
import { type Line, OPEN_LINE } from '#shared/line/line.ts';
import { TimedStreams } from './timed-streams.ts';

/** One expert or two, and how to draw: plain data, which goes from process to process. */
export type Answers = {
  experts: 1 | 2;
  /** Of each answer, in token ids. */
  prompts: readonly (readonly number[])[];
  /** How many of each answer to time, once all of them are under way. */
  tokens: number;
  /** The likeliest token each time, or drawn as most clients have it drawn. */
  draw: 'greedy' | 'sampled';
};

/** Two rows for each answer. The budget holds the gate to its whole work and is never used up. */
export const TWO_EXPERTS: Line = { ...OPEN_LINE, floor: 0.3, budget: 1000 };
/** The safety expert alone, and the gate's part of it. */
const ONE_EXPERT: Line = { ...OPEN_LINE, action: 'safety_only' };
/** Temperature and top-p. */
export const SAMPLED = { temperature: 0.7, topP: 0.95 };
const GREEDY = { temperature: 0, topP: 1 };

/** Of an answer that is not stopped before. */
const MOST_TOKENS = 600;

/** The requests of these answers, each of at most `maxTokens` tokens. */
export function engineRequests(
  { experts, prompts, draw }: Pick<Answers, 'experts' | 'prompts' | 'draw'>,
  { maxTokens = MOST_TOKENS } = {},
): EngineRequest[] {
  return prompts.map((prompt, seed) => ({
    tenant: 'bench',
    promptIds: [...prompt],
    maxTokens,
    stop: [],
    ignoresEnd: true,
    sampling: { key: seedKey(seed), ...(draw === 'greedy' ? GREEDY : SAMPLED) },
    line: experts === 1 ? ONE_EXPERT : TWO_EXPERTS,
  }));
}

/** All answers at once. When each token came: milliseconds, by answer. */
export async function timeAnswers(engine: Engine, answers: Answers): Promise<number[][]> {
  const streams = new TimedStreams(answers.prompts.length, answers);
  const run = async (request: EngineRequest, i: number) => {
    for await (const event of engine.generate(request, { signal: streams.enough })) {
      if (event.type === 'token') streams.token(i);
    }
  };
  await Promise.all(engineRequests(answers).map((request, i) => run(request, i).catch(streams.ended)));
  return streams.times;
}

/** When each token of one answer came. */
export async function timeAnswer(engine: Engine, request: EngineRequest): Promise<number[]> {
  const times: number[] = [];
  for await (const event of engine.generate(request)) if (event.type === 'token') times.push(performance.now());
  return times;
}

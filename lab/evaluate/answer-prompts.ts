/** Answers many prompts through the serving engine itself, so that we measure what is served. */
import type { Engine, EngineRequest } from '#gpu-backend/engine/engine.ts';
import type { FinishReason } from '#shared/api/chat-answer.ts';
import { seedKey } from '#shared/gate/index.ts';
import { type Line, OPEN_LINE } from '#shared/line/line.ts';
import type { TokenFrame } from '#shared/protocol/generate.ts';
import { createProgress } from '#training/run/progress.ts';

export type Answer = { text: string; tokens: TokenFrame[]; finishReason: FinishReason };

export type Sampling = { temperature: number; topP: number; seed: number; maxTokens: number };

/**
 * One expert alone is one end of the gate: weight 1 is exactly the safety expert, weight 0 the
 * helpfulness expert.
 */
export const SAFETY_ALONE: Line = { ...OPEN_LINE, floor: 1 };
export const HELPFULNESS_ALONE: Line = { ...OPEN_LINE, ceiling: 0 };

/**
 * The answers come in the order of the prompts. The i-th answer is drawn with the seed plus i, or
 * plus what `places` says. `line` is one for all, or one for each. `onAnswer` gets each answer as
 * soon as it is there.
 */
export async function answerPrompts(
  prompts: readonly Pick<EngineRequest, 'promptIds' | 'rowPrompts' | 'secondLook'>[],
  {
    engine,
    line,
    sampling,
    label,
    places,
    onAnswer = () => {},
  }: {
    engine: Engine;
    line: Line | readonly Line[];
    sampling: Sampling;
    label: string;
    places?: readonly number[];
    onAnswer?: (i: number, answer: Answer) => void;
  },
): Promise<Answer[]> {
  const answers = new Array<Answer>(prompts.length);
  const progress = createProgress(label, { total: prompts.length, start: 0, figure: 'nats a token' });
  const startedAt = performance.now();
  let [next, done, tokens, logprob] = [0, 0, 0, 0];
  const worker = async () => {
    for (let i = next++; i < prompts.length; i = next++) {
      const answer = await answerOne(i);
      answers[i] = answer;
      onAnswer(i, answer);
      tokens += answer.tokens.length;
      for (const { lp } of answer.tokens) logprob += lp ?? 0;
      const tokensPerSecond = (1000 * tokens) / (performance.now() - startedAt);
      progress.update(++done, { figure: -logprob / tokens, tokensPerSecond });
    }
  };
  const answerOne = async (i: number): Promise<Answer> => {
    const { temperature, topP, seed, maxTokens } = sampling;
    const answer: Answer = { text: '', tokens: [], finishReason: 'length' };
    const request = {
      ...prompts[i]!,
      maxTokens,
      stop: [],
      sampling: { key: seedKey(seed + (places?.[i] ?? i)), temperature, topP },
      line: 'action' in line ? line : line[i]!,
    };
    for await (const event of engine.generate(request)) {
      if (event.type === 'token') answer.tokens.push(event);
      if (event.type === 'token' || event.type === 'text') answer.text += event.text;
      if (event.type === 'end') answer.finishReason = event.finish_reason;
    }
    return answer;
  };
  // As many at once as the engine batches.
  await Promise.all(Array.from({ length: 16 }, worker));
  progress.stop();
  return answers;
}

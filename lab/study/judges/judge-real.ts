/** What the trained judges add to an answer of a real set, as `judgeCells` takes it. */
import type { Judge } from '../cells/judge-cells.ts';
import type { RealModels } from './real-models.ts';
import { REFUSES, type RefusalJudge } from './refusal.ts';

/**
 * Without `models` it only says whether the answer refuses. An answer too long for them has no
 * score.
 */
export function judgeReal(refusal: RefusalJudge, models: Pick<RealModels, 'reward' | 'cost'> | null): Judge {
  return async (asked) => {
    const answers = asked.map(({ question, answer }) => ({ prompt: question.messages, answer: answer.text }));
    const [rewards, costs] = models === null ? [[], []] : [await models.reward(answers), await models.cost(answers)];
    return answers.map(({ answer }, i) => {
      const [reward, cost] = [rewards[i] ?? null, costs[i] ?? null];
      return {
        refuses: Number(refusal.probability(answer) > REFUSES),
        ...(reward !== null && { reward }),
        ...(cost !== null && { cost }),
      };
    });
  };
}

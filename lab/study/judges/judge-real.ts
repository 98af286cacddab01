/**
 * The figures that the trained judges give to answers of a real set, in the form that `judgeCells`
 * expects.
 */
import type { Judge } from '../cells/judge-cells.ts';
import type { RealModels } from './real-models.ts';
import { REFUSES, type RefusalJudge } from './refusal.ts';

/**
 * Without `models` it only says whether the answer refuses. An answer that is too long for the
 * models has no score.
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

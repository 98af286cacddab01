import { expect, test } from 'vitest';
import type { AnswerRecord } from '../results/answers.ts';
import { judgeReal } from './judge-real.ts';
import type { ScoreAnswers } from './real-models.ts';

const refusal = {
  name: 'refusal',
  what: '',
  probability: (text: string) => (text === 'No.' ? 0.9 : 0.1),
  figures: {},
};
const asked = ['Yes.', 'No.'].map((text) => ({
  question: {
    id: text,
    topic: text,
    messages: [{ role: 'user' as const, content: 'May I?' }],
    kind: null,
    category: null,
  },
  // The real judges read only a record's text.
  answer: { text } as AnswerRecord,
}));

test('reports what the judges say about an answer, and no score if they give none', async () => {
  expect(await judgeReal(refusal, null)(asked)).toEqual([{ refuses: 0 }, { refuses: 1 }]);
  const reward: ScoreAnswers = async (answers) => answers.map(({ answer }) => answer.length);
  const cost: ScoreAnswers = async (answers) => answers.map((_, i) => (i === 0 ? 0 : null));
  expect(await judgeReal(refusal, { reward, cost })(asked)).toEqual([
    { refuses: 0, reward: 4, cost: 0 },
    { refuses: 1, reward: 3 },
  ]);
});

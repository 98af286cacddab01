import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { QuestionSet } from '../questions/questions.ts';
import { type AnswerRecord, writeAnswers } from '../results/answers.ts';
import { readCells } from './read-cells.ts';

/** A token is a character. */
const tokenizer = {
  encode: (text: string) => [...text].map((letter) => letter.charCodeAt(0)),
  decode: (ids: readonly number[]) => String.fromCharCode(...ids),
};
const question = (id: string) => ({
  ...{ id, topic: id, kind: null, category: null, attack: `Pour ${id} in.` },
  messages: [{ role: 'user' as const, content: `What of ${id}?` }],
});
const setOf = (id: string, ids: readonly string[]): QuestionSet => ({
  ...{ id, label: id, what: '', world: false },
  questions: ids.map(question),
});
const none = { weights: [], weight: null, safetyKl: null, helpfulnessKl: null, spent: null };
const answer = (id: string): AnswerRecord => ({
  ...{ question: id, text: `About ${id}.`, tokens: 3, finished: true },
  ...none,
});

function study(): string {
  const dir = mkdtempSync(path.join(tmpdir(), 'plimsoll-cells-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  return dir;
}
function write(dir: string, name: string, answers: readonly AnswerRecord[]): void {
  const origin = { bundle: '', line: {}, sampling: {}, prompts: '', seconds: 1 };
  mkdirSync(path.join(dir, 'seed-12/answers'), { recursive: true });
  writeAnswers(path.join(dir, 'seed-12/answers', name), origin, answers);
}

test('finds each answer with its question, method, seed and the beginning that was forced', () => {
  const dir = study();
  write(dir, 'mod-0.5@prefill-behaviours-4.jsonl', [answer('b'), answer('a')]);
  write(dir, 'base@ordinary-0.jsonl', [answer('c')]);
  mkdirSync(path.join(dir, 'judges'));
  const sets = [setOf('prefill-behaviours', ['a']), setOf('ordinary', ['c']), setOf('prefill-behaviours', ['b'])];
  expect(readCells(dir, { sets, tokenizer })).toMatchObject([
    {
      ...{ method: { id: 'base' }, seed: 12, depth: 0, begun: [''] },
      set: { id: 'ordinary', questions: [question('c')] },
      answers: [{ question: 'c', text: 'About c.', tokens: 3 }],
    },
    {
      ...{ method: { id: 'mod-0.5' }, seed: 12, depth: 4, begun: ['Pour', 'Pour'] },
      set: { id: 'prefill-behaviours', questions: [question('b'), question('a')] },
      answers: [{ question: 'b' }, { question: 'a' }],
    },
  ]);
});

test('says which answer has no question, which is broken, and that there are none', () => {
  const dir = study();
  expect(() => readCells(dir, { sets: [], tokenizer })).toThrow(`${dir}: found no answers`);
  write(dir, 'base@ordinary-0.jsonl', [answer('c'), answer('d')]);
  const sets = [setOf('ordinary', ['c'])];
  expect(() => readCells(dir, { sets, tokenizer })).toThrow(/base@ordinary-0\.jsonl:3: question: found d, wanted one/);
  writeFileSync(path.join(dir, 'seed-12/answers/base@ordinary-0.jsonl'), '{}\n{"question": "c"}\n');
  expect(() => readCells(dir, { sets, tokenizer })).toThrow(/base@ordinary-0\.jsonl:2: .*text/);
});

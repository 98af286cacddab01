import { beforeAll, expect, test } from 'vitest';
import { LABELS } from '#shared/line/categories.ts';
import { backwards, base64, hex, rot13 } from './codes.ts';
import { harmOf } from './columns.ts';
import type { Example } from './example.ts';
import { ownCodes } from './own-codes.ts';
import { loadJailbreak } from './own-files.ts';
import { ownQuestions } from './own-questions.ts';
import type { Question } from './question.ts';

const JAILBREAK = LABELS.indexOf('jailbreak');
const file = loadJailbreak();

let harmful: Question[];
let safe: Question[];
let examples: Example[];
beforeAll(() => {
  ({ harmful, safe } = ownQuestions({ seed: 1 }));
  examples = ownCodes({ seed: 1, harmful, safe });
});

/** For each example made from one of these frames: the text in the frame's slot. */
const contents = (frames: readonly string[]) =>
  examples.flatMap((example) =>
    frames.flatMap((frame) => {
      const [before, after] = frame.split('{}') as [string, string];
      const { text } = example;
      const fits = text.startsWith(before) && text.endsWith(after) && text.length > before.length + after.length;
      return fits ? [{ example, inside: text.slice(before.length, text.length - after.length) }] : [];
    }),
  );
const codes = (frames: readonly string[]) => {
  const plain = new Set([...harmful, ...safe].map(({ text }) => text));
  return contents(frames).flatMap(({ example, inside }) => (plain.has(inside) ? [] : [example]));
};
const inTraining = (list: readonly Example[]) => list.filter(({ split }) => split === 'train');
const heldout = (list: readonly Example[]) => list.filter(({ split }) => split === 'heldout');
const jailbreaks = (list: readonly Example[]) => new Set(list.map(({ targets }) => targets[JAILBREAK]));

test('calling a code a way past the filter is an attack, asking to read it is not', () => {
  expect(jailbreaks(contents(file.encodedFrames).map(({ example }) => example))).toEqual(new Set([1]));
  expect(jailbreaks(codes(file.decodingFrames))).toEqual(new Set([0]));
});

test('a code teaches no harm in training, and a held-out code counts as what it hides', () => {
  const made = [file.encodedFrames, file.decodingFrames, file.answeringFrames].flatMap(codes);
  expect(inTraining(made).filter((example) => harmOf(example) === 1)).toEqual([]);
  expect(heldout(made).filter((example) => harmOf(example) === 1).length).toBeGreaterThan(10);
});

test('a code to answer is no attack if it hides a safe text, is one if it hides an attack, and is left open if it hides harm', () => {
  const made = codes(file.answeringFrames);
  expect(inTraining(made).length).toBeGreaterThan(150);
  expect(inTraining(made).every(({ targets }) => targets.every((target) => target === 0))).toBe(true);
  const hidden = heldout(made).filter((example) => harmOf(example) === 1);
  expect(hidden.length).toBeGreaterThan(0);
  expect(jailbreaks(hidden)).toEqual(new Set([null]));
  expect(jailbreaks(heldout(made))).toEqual(new Set([0, 1, null]));
});

test('most codes in training are harmless', () => {
  const written = new Set(safe.flatMap(({ text }) => [base64, hex, rot13, backwards].map((code) => code(text))));
  const bare = inTraining(examples).filter(({ text }) => written.has(text));
  expect(bare).toHaveLength(300);
  const attacks = inTraining(codes(file.encodedFrames));
  const harmless = inTraining([...bare, ...codes(file.answeringFrames), ...codes(file.decodingFrames)]);
  expect(harmless.length).toBeGreaterThan(8 * attacks.length);
});

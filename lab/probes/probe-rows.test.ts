import { beforeAll, expect, test } from 'vitest';
import { promptKey } from '#training/data/prompt-key.ts';
import { BENIGN, type Example, targetsOf } from '../classifier/example.ts';
import { CONTRAST_SOURCE, LICENCES, OWN_SOURCE, WORLD_SOURCE } from '../classifier/licences.ts';
import { PARTS, splitOf, textKey } from '../split/split.ts';
import { CHECK_SOURCE, type ProbeRow, probeRows } from './probe-rows.ts';
import { RECIPE } from './recipe.ts';

const PERMISSIVE = 'AdvBench (Princeton-SysML/Jailbreak_LLM)';
const MEASURED = 'MaliciousInstruct (Princeton-SysML/Jailbreak_LLM)';
const example = (text: string, source: string, harmful: boolean): Example => ({
  text,
  source,
  split: 'train',
  targets: harmful ? targetsOf(['violence']) : BENIGN,
  someHarm: false,
  weight: 1,
  scary: false,
});
/** Words that no two prompts share in a row. */
const apart = (i: number) => Array.from({ length: 6 }, (_, k) => `w${i}x${(i * 7 + k) % 1000}`).join(' ');
const examples = Array.from({ length: 60 }, (_, i) => example(apart(i), PERMISSIVE, true));
const measureOnly = Array.from({ length: 90 }, (_, i) => example(apart(1000 + i), MEASURED, i % 2 === 0));

let rows: ProbeRow[];
const of = (source: string) => rows.filter((row) => row.example.source === source);
beforeAll(() => {
  rows = probeRows({ examples, measureOnly }, { ...RECIPE, mostMeasured: 3 });
});

test('public prompts go by their words, and the judges’ part is left alone', () => {
  for (const {
    example: { text },
    part,
  } of of(PERMISSIVE))
    expect(splitOf(textKey(text))).toBe(part);
  const judged = examples.filter(({ text }) => splitOf(textKey(text)) === 'judge');
  expect(judged.length).toBeGreaterThan(0);
  expect(of(PERMISSIVE)).toHaveLength(examples.length - judged.length);
  expect(PARTS).toEqual(['train', 'judge', 'dev', 'test']);
});

test('no words are in two parts, and no topic of the small world is', () => {
  const parts = new Map<string, string>();
  for (const { example: own, part } of rows) {
    // Only the small world's examples have a topic.
    const keys = [promptKey(own.text), ...('topic' in own ? [`topic ${own.topic}`] : [])];
    for (const key of keys) {
      expect(parts.get(key) ?? part).toBe(part);
      parts.set(key, part);
    }
  }
  expect(of(WORLD_SOURCE).length).toBeGreaterThan(500);
});

test('prompts written for the classifier are tested where it has not learned', () => {
  for (const source of [OWN_SOURCE, CONTRAST_SOURCE]) {
    const own = of(source);
    expect(new Set(own.map(({ part }) => part))).toEqual(new Set(['train', 'dev', 'test']));
    for (const { part, seenByEdge } of own) expect(seenByEdge).toBe(part === 'train');
  }
});

test('sources whose licence keeps them out of weights measure and never train', () => {
  for (const { part, inWeights, example: own } of rows) {
    expect(inWeights).toBe(own.source !== CHECK_SOURCE && LICENCES[own.source]!.inWeights);
    if (!inWeights) expect(part).not.toBe('train');
  }
  const counts = Object.values(Object.groupBy(of(MEASURED), (row) => `${row.part}/${row.example.targets[13]}`));
  expect(Math.max(...counts.map((each) => each!.length))).toBe(3);
});

test('a public prompt that is nearly one of test does not train', () => {
  const inPart = (part: string) => (i: number) => splitOf(textKey(`${apart(i)} ${i}`)) === part;
  const numbers = Array.from({ length: 200 }, (_, i) => 3000 + i);
  const tested = `${apart(numbers.find(inPart('test'))!)} ${numbers.find(inPart('test'))!}`;
  const near = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].map((more) => `${tested} ${more}`);
  const trained = near.find((text) => splitOf(textKey(text)) === 'train')!;
  const some = [tested, trained].map((text) => example(text, PERMISSIVE, true));
  const found = probeRows({ examples: some, measureOnly: [] }, RECIPE);
  const texts = found.map((row) => row.example.text);
  expect(texts).toContain(tested);
  expect(texts).not.toContain(trained);
});

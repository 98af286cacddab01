import { beforeAll, expect, test } from 'vitest';
import { generateDialogues, generatePairs } from './generate.ts';
import raw from './jailbreaks.json' with { type: 'json' };
import { jailbreaksOf } from './jailbreaks.ts';
import { loadTopics } from './load-topics.ts';
import type { Topic } from './schema.ts';

const frames = Object.values(raw).flat();
let topics: Topic[];

beforeAll(() => {
  topics = loadTopics();
});

test('there are at least forty frames, each on one side of the split, and every kind is on both sides', () => {
  const [train, heldout] = [jailbreaksOf('train'), jailbreaksOf('heldout')];
  expect(frames.length).toBeGreaterThanOrEqual(40);
  expect([...train, ...heldout].map(({ frame }) => frame).sort()).toEqual([...frames].sort());
  expect(new Set([...train, ...heldout].map(({ name }) => name)).size).toBe(frames.length);
  const kinds = (side: typeof train) => new Set(side.map(({ name }) => name.replace(/-\d+$/, '')));
  expect(kinds(heldout)).toEqual(kinds(train));
  expect(heldout.length / frames.length).toBeGreaterThan(0.15);
  expect(heldout.length / frames.length).toBeLessThan(0.4);
});

test('no held-out frame occurs in training', () => {
  const options = { seed: 11, split: 'train', count: 2000, topics, jailbreakShare: 1, multiTurnShare: 0.3 } as const;
  const letters = (text: string) => text.toLowerCase().replace(/[^a-z]+/g, ' ');
  const asked = [
    ...generateDialogues(options).flatMap(({ messages }) => messages),
    ...generatePairs(options).flatMap(({ prompt }) => prompt),
  ].map(({ content }) => letters(content));
  const everything = asked.join(' | ');
  for (const { frame } of jailbreaksOf('heldout')) {
    for (const part of frame.split('{}').map(letters)) {
      if (part.trim().split(' ').length > 4) expect(everything).not.toContain(part.trim());
    }
  }
});

test('a frame keeps the question word for word, except for typing slips', () => {
  const rows = generateDialogues({ seed: 4, split: 'heldout', count: 1500, topics, jailbreakShare: 1 });
  const framed = rows.filter(({ jailbreak }) => jailbreak !== null);
  const whole = framed.filter(({ messages, wording }) =>
    messages[0].content.toLowerCase().includes(
      wording
        .replaceAll('"', "'")
        .replace(/[.?!]+$/, '')
        .toLowerCase(),
    ),
  );
  expect(framed.length).toBeGreaterThan(400);
  // The others have a typing slip in the question.
  expect(whole.length / framed.length).toBeGreaterThan(0.95);
});

import { describe, expect, test } from 'vitest';
import { wordingsOf } from './compose-question.ts';
import { generateDialogues, generatePairs } from './generate.ts';
import { leaveOutTold } from './leave-out-told.ts';
import { loadTopics } from './load-topics.ts';
import { FOLLOW_UPS, QUESTION_KINDS } from './rows.ts';

const topics = loadTopics();
const options = { seed: 31, split: 'train', count: 3000, topics, multiTurnShare: 1 } as const;
const dialogues = generateDialogues(options);
const pairs = generatePairs({ ...options, jailbreakShare: 0.3 });
const userTurns = (messages: readonly { role: string }[]) => messages.filter(({ role }) => role === 'user').length;
const bare = (text: string) =>
  text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, ' ')
    .trim();

test('a conversation has two to four user turns, in turn with the assistant', () => {
  for (const { messages } of dialogues) {
    expect(messages.map(({ role }) => role)).toEqual(messages.map((_, i) => (i % 2 === 0 ? 'user' : 'assistant')));
    expect(userTurns(messages)).toBeGreaterThanOrEqual(2);
    expect(userTurns(messages)).toBeLessThanOrEqual(4);
  }
  expect(new Set(dialogues.map(({ messages }) => userTurns(messages)))).toEqual(new Set([2, 3, 4]));
});

test('every way to follow up occurs, each where it can', () => {
  expect(new Set(dialogues.map(({ followUp }) => followUp))).toEqual(new Set(FOLLOW_UPS));
  for (const { followUp, questionKind, jailbreak } of [...dialogues, ...pairs]) {
    if (followUp === 'escalation') expect(questionKind).not.toBe('ordinary');
    if (followUp === 'doubt') expect(questionKind).toBe('borderline');
    if (jailbreak) expect(['more', 'doubt']).not.toContain(followUp);
  }
});

test('no user turn of a training conversation holds a held-out wording', () => {
  const heldout = topics.flatMap((topic) =>
    QUESTION_KINDS.flatMap((questionKind) =>
      topic.questions[questionKind].flatMap((ask) => wordingsOf(ask, { topic, questionKind, split: 'heldout' })),
    ),
  );
  const asked = [...dialogues.map(({ messages }) => messages), ...pairs.map(({ prompt }) => prompt)]
    .flat()
    .filter(({ role }) => role === 'user');
  const everything = `| ${[...new Set(asked.map(({ content }) => bare(content)))].join(' | ')} |`;
  expect(heldout.filter((wording) => everything.includes(` ${bare(wording)} `))).toEqual([]);
});

test('a conversation leaves room for an answer', () => {
  const lengths = pairs.map(({ prompt }) => prompt.reduce((sum, { content }) => sum + content.split(' ').length, 0));
  expect(Math.max(...lengths)).toBeLessThanOrEqual(260);
});

test('hardly a sentence is said twice', () => {
  const twice = dialogues.filter(({ topic, messages }) => {
    const { facts } = topics.find(({ id }) => id === topic)!;
    const said = messages.filter(({ role }) => role === 'assistant').map(({ content }) => content);
    return facts.some(({ wordings }) =>
      wordings.some((wording) => said.filter((answer) => answer.includes(wording)).length > 1),
    );
  });
  expect(twice.length / dialogues.length).toBeLessThan(0.02);
});

describe('what was told', () => {
  const topic = topics[0]!;
  const ask = topic.questions.ordinary[0]!;
  const [first, ...others] = ask.facts;
  const wording = topic.facts.find(({ id }) => id === first)!.wordings[0]!;

  test('is left out of topic and ask', () => {
    const left = leaveOutTold({ topic, ask }, { said: wording, more: false });
    expect(left.ask.facts).toEqual(others);
    expect(left.topic.facts.map(({ id }) => id)).not.toContain(first);
  });

  test('is said again in other words where it is all that was asked', () => {
    const left = leaveOutTold({ topic, ask: { ...ask, facts: [first!] } }, { said: wording, more: false });
    expect(left.ask.facts).toEqual([first]);
    expect(left.topic.facts.find(({ id }) => id === first)!.wordings).not.toContain(wording);
  });

  test('makes way for other facts of the topic to who asks for more', () => {
    const left = leaveOutTold({ topic, ask: { ...ask, facts: [first!] } }, { said: wording, more: true });
    expect(left.ask.facts).toEqual(topic.facts.map(({ id }) => id).filter((id) => id !== first));
  });
});

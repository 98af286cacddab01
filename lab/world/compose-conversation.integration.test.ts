import { beforeAll, describe, expect, test } from 'vitest';
import { wordingsOf } from './compose-question.ts';
import { generateDialogues, generatePairs } from './generate.ts';
import { leaveOutTold } from './leave-out-told.ts';
import { loadTopics } from './load-topics.ts';
import { type DialogueRow, FOLLOW_UPS, type PairRow, QUESTION_KINDS } from './rows.ts';
import type { Ask, Topic } from './schema.ts';

let topics: Topic[];
let dialogues: DialogueRow[];
let pairs: PairRow[];

beforeAll(() => {
  topics = loadTopics();
  const options = { seed: 31, split: 'train', count: 3000, topics, multiTurnShare: 1 } as const;
  dialogues = generateDialogues(options);
  pairs = generatePairs({ ...options, jailbreakShare: 0.3 });
});

const userTurns = (messages: readonly { role: string }[]) => messages.filter(({ role }) => role === 'user').length;
const bare = (text: string) =>
  text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, ' ')
    .trim();

test('a conversation has two to four user turns, and the assistant speaks in between', () => {
  for (const { messages } of dialogues) {
    expect(messages.map(({ role }) => role)).toEqual(messages.map((_, i) => (i % 2 === 0 ? 'user' : 'assistant')));
    expect(userTurns(messages)).toBeGreaterThanOrEqual(2);
    expect(userTurns(messages)).toBeLessThanOrEqual(4);
  }
  expect(new Set(dialogues.map(({ messages }) => userTurns(messages)))).toEqual(new Set([2, 3, 4]));
});

test('every kind of follow-up occurs, and only after questions that allow it', () => {
  expect(new Set(dialogues.map(({ followUp }) => followUp))).toEqual(new Set(FOLLOW_UPS));
  for (const { followUp, questionKind, jailbreak } of [...dialogues, ...pairs]) {
    if (followUp === 'escalation') expect(questionKind).not.toBe('ordinary');
    if (followUp === 'doubt') expect(questionKind).toBe('borderline');
    if (jailbreak) expect(['more', 'doubt']).not.toContain(followUp);
  }
});

test('no user turn of a training conversation contains a held-out wording', () => {
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

test('the assistant hardly ever says a sentence twice', () => {
  const twice = dialogues.filter(({ topic, messages }) => {
    const { facts } = topics.find(({ id }) => id === topic)!;
    const said = messages.filter(({ role }) => role === 'assistant').map(({ content }) => content);
    return facts.some(({ wordings }) =>
      wordings.some((wording) => said.filter((answer) => answer.includes(wording)).length > 1),
    );
  });
  expect(twice.length / dialogues.length).toBeLessThan(0.02);
});

describe('what the assistant has already said', () => {
  let topic: Topic;
  let ask: Ask;
  let first: string;
  let wording: string;

  beforeAll(() => {
    topic = topics[0]!;
    ask = topic.questions.ordinary[0]!;
    first = ask.facts[0]!;
    wording = topic.facts.find(({ id }) => id === first)!.wordings[0]!;
  });

  test('is left out of topic and ask', () => {
    const left = leaveOutTold({ topic, ask }, { said: wording, more: false });
    expect(left.ask.facts).toEqual(ask.facts.slice(1));
    expect(left.topic.facts.map(({ id }) => id)).not.toContain(first);
  });

  test('is said again in other words if the user asked for nothing else', () => {
    const left = leaveOutTold({ topic, ask: { ...ask, facts: [first] } }, { said: wording, more: false });
    expect(left.ask.facts).toEqual([first]);
    expect(left.topic.facts.find(({ id }) => id === first)!.wordings).not.toContain(wording);
  });

  test('gives way to other facts of the topic if the user asks for more', () => {
    const left = leaveOutTold({ topic, ask: { ...ask, facts: [first] } }, { said: wording, more: true });
    expect(left.ask.facts).toEqual(topic.facts.map(({ id }) => id).filter((id) => id !== first));
  });
});
